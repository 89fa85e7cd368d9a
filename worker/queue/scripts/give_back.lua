-- Gives back what a worker has taken: all that is in its hash and on its landing list goes to where every worker looks
-- first.
--
-- KEYS: the leases, the owners that are gone, the entries given back.
-- ARGV: the worker that gives back its own, or '' for one whose lease has ended; how many entries at most; what the names
-- of hashes and of landing lists begin with.
-- Returns the owner ('' when there is none), how many entries went back, and how many are left.
--
-- A BLMOVE of an owner that is only paused can still put an entry onto its landing list: who is gone is looked at once
-- more after a minute, and then forgotten.
local leases, gone, returned = KEYS[1], KEYS[2], KEYS[3]
local owner, most = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local ended = 0
local is_last_look = false
if owner == '' then
    ended = 1
    owner = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)[1]
    if not owner then
        owner = redis.call('ZRANGEBYSCORE', gone, '-inf', now, 'LIMIT', 0, 1)[1]
        is_last_look = true
    end
    if not owner then
        return {'', 0, 0}
    end
end
local held, landing = ARGV[3] .. owner, ARGV[4] .. owner

local function give_back(raw, deliveries, queue)
    redis.call('RPUSH', returned, string.format('%d %s\n', deliveries, queue) .. raw)
end

local pairs_of = redis.call('HRANDFIELD', held, most, 'WITHVALUES')
local entries = {}
for i = 1, #pairs_of, 2 do
    local number, deliveries, queue = string.match(pairs_of[i], '^(%d+) (%d+) (.*)$')
    entries[#entries + 1] = {
        field = pairs_of[i], raw = pairs_of[i + 1], number = tonumber(number), deliveries = tonumber(deliveries), queue = queue,
    }
end
-- The oldest is to be taken first.
table.sort(entries, function(one, other) return one.number > other.number end)
for _, entry in ipairs(entries) do
    give_back(entry.raw, entry.deliveries + ended, entry.queue)
    redis.call('HDEL', held, entry.field)
end
local landed = redis.call('LRANGE', landing, 0, -1)
for _, raw in ipairs(landed) do
    -- The queue that it waits at is the end of its name.
    give_back(raw, ended, string.match(owner, '^[^@]*@(.*)$'))
end
redis.call('DEL', landing)

local left = redis.call('HLEN', held)
if left == 0 then
    redis.call('ZREM', leases, owner)
    if is_last_look then
        redis.call('ZREM', gone, owner)
    else
        redis.call('ZADD', gone, now + 60000, owner)
    end
end
return {owner, #entries + #landed, left}
