-- Writes entries of one bucket: each into the state and, if that changed it, to the log, under the next
-- number of the sequence.
--
-- KEYS: meta, log, buckets, the bucket, publishing. ARGV: the fingerprint of the key that the entries
-- were made with, the length of the log, when the bucket is over (in seconds since 1970, or 'never'),
-- who gives back what it holds and for how many milliseconds that takes (or '' and 0), and three for
-- each entry: key, mark, end.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'fingerprint', 'sequence')
if not meta[1] then
  return {'uninitialized'}
end
if meta[2] ~= ARGV[1] then
  return {'other key'}
end
local sequence = meta[3]
local before = sequence
for at = 6, #ARGV, 3 do
  local mark, ends = ARGV[at + 1], ARGV[at + 2]
  -- Of the same width, so that they compare as text: numbers have 53 bits here.
  local stored = redis.call('HGET', KEYS[4], ARGV[at])
  local old_mark, old_ends = '', ''
  if stored then
    old_mark, old_ends = string.sub(stored, 1, 20), string.sub(stored, 21)
  end
  if mark > old_mark or ends > old_ends then
    if old_mark > mark then mark = old_mark end
    if old_ends > ends then ends = old_ends end
    redis.call('HSET', KEYS[4], ARGV[at], mark .. ends)
    sequence = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'sequence', 1))
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], sequence .. '-0',
      'k', ARGV[at], 'm', mark, 'e', ends)
  end
end
if sequence ~= before then
  local time = redis.call('TIME')
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time[1] - 1)
  if ARGV[3] == 'never' then
    redis.call('ZADD', KEYS[3], '+inf', KEYS[4])
  else
    redis.call('EXPIREAT', KEYS[4], ARGV[3])
    redis.call('ZADD', KEYS[3], ARGV[3], KEYS[4])
  end
end
if ARGV[4] ~= '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[5], string.format('%.0f', now + ARGV[5]), ARGV[4])
end
return {'ok', sequence}
