-- Says where the store is, and notices when it is another one than before.
--
-- It is a write, so that a replica does not answer it.
--
-- KEYS: meta, publishing. ARGV: the server's incarnation; a key for the digests, its fingerprint, and
-- whether entries were made with it, for a store that has none.
local meta = redis.call('HMGET', KEYS[1],
  'format', 'epoch', 'incarnation', 'term', 'since', 'window', 'sequence', 'key', 'fingerprint',
  'lifetime', 'leeway', 'width')
if not meta[2] then
  return {}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local written = string.format('%.0f', now)
-- Another server, or the same one started anew: it may lack what was acknowledged last. Those who hold
-- it give it back, from now on and until the window is over.
if meta[3] ~= ARGV[1] then
  meta[4] = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'term', 1))
  meta[5] = written
  redis.call('HSET', KEYS[1], 'incarnation', ARGV[1], 'since', written)
end
local ends = tonumber(meta[5]) + tonumber(meta[6])
-- Those who hold entries come first with the key that these were made with.
if not meta[8] and (ARGV[4] == '1' or now >= ends) then
  meta[8] = ARGV[2]
  meta[9] = ARGV[3]
  redis.call('HSET', KEYS[1], 'key', ARGV[2], 'fingerprint', ARGV[3])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local recovering = '0'
if now < ends or redis.call('ZCARD', KEYS[2]) > 0 then
  recovering = '1'
end
redis.call('HSET', KEYS[1], 'heartbeat', written)
return {meta[1], meta[2], meta[4], recovering, meta[7], meta[8] or '', meta[9] or '',
  meta[10], meta[11], meta[12]}
