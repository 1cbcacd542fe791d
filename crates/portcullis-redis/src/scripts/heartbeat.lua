-- Says where the store is, and notices when it is another one than before.
--
-- It is a write, so that a replica does not answer it.
--
-- KEYS: meta, log, buckets, publishing. ARGV: the server's incarnation; a name for a recovery, drawn for
-- this call; the recovery whose history is not the one that who asks has, or ''; a key for the digests,
-- its fingerprint, and when it was chosen, or '' where no entries were made with it; who gives back what
-- it holds and for how many milliseconds that takes (or '' and 0).
local meta = redis.call('HMGET', KEYS[1],
  'format', 'epoch', 'incarnation', 'recovery', 'age', 'since', 'window', 'sequence', 'head',
  'key', 'fingerprint', 'stamp', 'lifetime', 'leeway', 'width', 'heartbeat')
if not meta[2] then
  return {}
end
if meta[1] ~= '2' then
  return {meta[1]}
end
local whole = function(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- The store's own clock: that of the server may jump, and no heartbeat counts for more than 2 s.
local age = tonumber(meta[5]) + math.min(math.max(now - tonumber(meta[16]), 0), 2000)
local recovery, since, window = meta[4], tonumber(meta[6]), tonumber(meta[7])
local key, fingerprint, stamp = meta[10], meta[11], meta[12]
-- Another server, the same one started anew, or data that is not what somebody read here: it may lack what
-- was acknowledged. Those who hold it give it back, from now on and until the window is over. What names
-- the recovery is drawn by who asks: a number in the data would come again when the data goes back.
if meta[3] ~= ARGV[1] or (ARGV[3] ~= '' and ARGV[3] == recovery) then
  recovery, since = ARGV[2], age
end
local offers = false
if not key then
  -- Those who hold entries come first with the key that these were made with.
  offers = ARGV[6] ~= '' or age - since >= window
elseif ARGV[6] ~= '' and key ~= ARGV[4] and age - since < window
    and tonumber(ARGV[6]) > tonumber(stamp) then
  -- Back to a store in whose place another one was made: what it has was lost then, and what was written
  -- since is with those who hold it. Everybody reads anew.
  offers, recovery, since = true, ARGV[2], age
  for _, bucket in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    redis.call('UNLINK', bucket)
  end
  redis.call('DEL', KEYS[2], KEYS[3])
end
if offers then
  key, fingerprint = ARGV[4], ARGV[5]
  stamp = ARGV[6] ~= '' and ARGV[6] or whole(now)
  redis.call('HSET', KEYS[1], 'key', key, 'fingerprint', fingerprint, 'stamp', stamp)
end
redis.call('HSET', KEYS[1], 'incarnation', ARGV[1], 'recovery', recovery, 'age', whole(age),
  'since', whole(since), 'heartbeat', whole(now))
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', whole(age))
if ARGV[7] ~= '' then
  redis.call('ZADD', KEYS[4], whole(age + ARGV[8]), ARGV[7])
end
local recovering = '0'
if age - since < window or redis.call('ZCARD', KEYS[4]) > 0 then
  recovering = '1'
end
return {meta[1], meta[2], recovery, recovering, meta[8], meta[9], key or '', stamp or '',
  meta[13], meta[14], meta[15], whole(now)}
