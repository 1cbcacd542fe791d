-- Writes entries of one bucket: each into the state and, if that changed it or it is to be seen, to the log,
-- under the next number of the sequence. Each entry of the log names its writing and the one before it, so
-- that two histories never pass for one, whatever their numbers.
--
-- KEYS: meta, log, buckets, the bucket, publishing, the bucket that is never over. ARGV: the fingerprint of the key that the entries
-- were made with, the length of the log, when the bucket is over (in seconds since 1970, or 'never'),
-- who gives back what it holds and for how many milliseconds that takes (or '' and 0), a name for this
-- writing, whether all is to be seen in the log ('1'), under which key there may be a lift with which the entries
-- do not count (or ''), up to which mark they do, and three for each entry: key, mark, end.
local meta = redis.call('HMGET', KEYS[1], 'format', 'fingerprint', 'sequence', 'head', 'age')
if not meta[1] then
  return {'uninitialized'}
end
if meta[1] ~= '2' then
  return {'other format'}
end
if meta[2] ~= ARGV[1] then
  return {'other key'}
end
if ARGV[8] ~= '' then
  local lifts = redis.call('HGET', KEYS[6], ARGV[8])
  if lifts and string.sub(lifts, 1, 20) > ARGV[9] then
    return {'lifted'}
  end
end
local sequence, head = meta[3], meta[4]
local is_changed = false
for at = 10, #ARGV, 3 do
  local mark, ends = ARGV[at + 1], ARGV[at + 2]
  -- Of the same width, so that they compare as text: numbers have 53 bits here.
  local stored = redis.call('HGET', KEYS[4], ARGV[at])
  local old_mark, old_ends = '', ''
  if stored then
    old_mark, old_ends = string.sub(stored, 1, 20), string.sub(stored, 21)
  end
  local is_more = mark > old_mark or ends > old_ends
  if old_mark > mark then mark = old_mark end
  if old_ends > ends then ends = old_ends end
  if is_more then
    redis.call('HSET', KEYS[4], ARGV[at], mark .. ends)
    is_changed = true
  end
  if is_more or ARGV[7] == '1' then
    sequence = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'sequence', 1))
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], sequence .. '-0',
      'k', ARGV[at], 'm', mark, 'e', ends, 'n', ARGV[6], 'b', head)
    head = ARGV[6]
  end
end
if head ~= meta[4] then
  redis.call('HSET', KEYS[1], 'head', head)
end
if is_changed then
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
  redis.call('ZADD', KEYS[5], string.format('%.0f', meta[5] + ARGV[5]), ARGV[4])
end
return {'ok', sequence}
