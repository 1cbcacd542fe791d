-- Makes the store, once. What followers hold from before is theirs to give back: until the window is
-- over, nobody is fresh.
--
-- KEYS: meta, log, buckets, publishing. ARGV: epoch, a name for its first recovery, lifetime, leeway, width,
-- window.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HMGET', KEYS[1], 'format', 'lifetime', 'leeway')
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
-- Remains of a store that lost its head say nothing: their sequence is not continued.
for _, bucket in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  redis.call('UNLINK', bucket)
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1],
  'format', '2', 'epoch', ARGV[1], 'recovery', ARGV[2], 'lifetime', ARGV[3], 'leeway', ARGV[4],
  'width', ARGV[5], 'window', ARGV[6], 'sequence', '0', 'head', '', 'age', '0', 'since', '0',
  'heartbeat', now, 'incarnation', '')
return {}
