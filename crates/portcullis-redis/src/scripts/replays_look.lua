-- Says which memory of used proofs this is, and begins one where there is none, or where it may have lost some.
--
-- KEYS: memory. ARGV: the server's incarnation; an epoch and a key for the digests, drawn for this call; the epoch that is known to
-- have lost proofs, or ''; the time of who asks, and how far off the server's may be, in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local whole = string.format('%.0f', now)
local found = redis.call('HMGET', KEYS[1], 'format', 'epoch', 'key', 'birth', 'incarnation')
if found[1] and found[1] ~= '1' then
  return {found[1]}
end
-- A birth by a clock that is off would be before what was lost, or long after it.
if math.abs(now - ARGV[5]) > tonumber(ARGV[6]) then
  return {'1', whole}
end
local is_whole = found[1] and found[2] and found[3] and found[4]
-- Another server, the same one started anew, or one whose clock dropped what was not over.
if not is_whole or found[5] ~= ARGV[1] or found[2] == ARGV[4] then
  found = {'1', ARGV[2], ARGV[3], whole}
  redis.call('HSET', KEYS[1], 'format', '1', 'epoch', ARGV[2], 'key', ARGV[3], 'birth', whole,
    'incarnation', ARGV[1])
end
return {'1', whole, found[2], found[3], found[4]}
