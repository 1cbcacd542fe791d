-- Makes the store, once. What followers hold from before is theirs to give back: until the window is
-- over, nobody is fresh.
--
-- KEYS: meta, log, buckets. ARGV: epoch, lifetime, leeway, width, window.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HMGET', KEYS[1], 'epoch', 'lifetime', 'leeway')
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
-- Remains of a store that lost its head say nothing: their sequence is not continued.
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1],
  'format', '1', 'epoch', ARGV[1], 'lifetime', ARGV[2], 'leeway', ARGV[3], 'width', ARGV[4],
  'window', ARGV[5], 'sequence', '0', 'term', '1', 'since', now, 'incarnation', '')
return {}
