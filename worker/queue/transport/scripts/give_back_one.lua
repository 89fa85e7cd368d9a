-- Gives back one entry, if the worker still has it.
--
-- KEYS: its hash, the entries given back. ARGV: the field, and what the entry begins with there.
redis.call('HDEL', KEYS[1], '')
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if raw then
    redis.call('RPUSH', KEYS[2], ARGV[2] .. raw)
    redis.call('HDEL', KEYS[1], ARGV[1])
end
