-- Gives back what a worker has taken: all that is in its hash and on its landing list goes to where every worker looks.
--
-- KEYS: the leases, the owners that are gone, the entries given back.
-- ARGV: the worker that gives back its own, or '' for one whose lease has ended; how many entries at most; what the names
-- of hashes and of landing lists begin with.
-- Returns the owner ('' when there is none), how many entries went back, and how many are left.
--
-- A BLMOVE that was on its way for long can still put an entry onto the landing list: who is gone is looked at again and
-- again for a time, and then forgotten. The first write is one that a server whose memory is full takes.
--
-- Whoever writes to Redis can name owners that never were: a key of another type is taken away, or it would keep
-- everybody's entries from being given back.
local leases, gone, returned = KEYS[1], KEYS[2], KEYS[3]
local owner, most = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local look_again_ms, forget_ms, longest_lease_ms = 5000, 20 * 60000, 15 * 60000

-- A lease can only end so late where the clock was put back.
redis.call('ZREM', leases, '')
for _, far in ipairs(redis.call('ZRANGEBYSCORE', leases, now + longest_lease_ms, '+inf', 'LIMIT', 0, 10)) do
    redis.call('ZADD', leases, now + look_again_ms, far)
end

-- Of who is gone: 'when to forget it owner'.
local gone_member = nil
local ended = 0
if owner == '' then
    ended = 1
    owner = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)[1]
    if not owner then
        gone_member = redis.call('ZRANGEBYSCORE', gone, '-inf', now, 'LIMIT', 0, 1)[1]
        if not gone_member then
            return {'', 0, 0}
        end
        owner = string.match(gone_member, '^%d+ (.*)$') or gone_member
    end
end
local own_queue = string.match(owner, '^[^@]*@(.*)$') or ''
local held, landing = ARGV[3] .. owner, ARGV[4] .. owner

local function give_back(raw, deliveries, queue)
    redis.call('RPUSH', returned, string.format('%d %s\n', deliveries, queue) .. raw)
end

local function read(key, ...)
    local found = redis.pcall(...)
    if not found.err then
        return found
    end
    if not string.find(found.err, 'WRONGTYPE', 1, true) then
        error(found.err)
    end
    redis.call('DEL', key)
    return {}
end

local pairs_of = read(held, 'HRANDFIELD', held, most, 'WITHVALUES')
local entries = {}
for i = 1, #pairs_of, 2 do
    local number, deliveries, queue = string.match(pairs_of[i], '^(%d+) (%d+) (.*)$')
    entries[#entries + 1] = {
        field = pairs_of[i], raw = pairs_of[i + 1], number = tonumber(number or 0), deliveries = tonumber(deliveries or 0),
        queue = queue or own_queue,
    }
end
table.sort(entries, function(one, other) return one.number > other.number end)
for _, entry in ipairs(entries) do
    give_back(entry.raw, entry.deliveries + ended, entry.queue)
    redis.call('HDEL', held, entry.field)
end
local landed = read(landing, 'LRANGE', landing, 0, most - 1)
for _, raw in ipairs(landed) do
    -- The queue that it waits at is the end of its name.
    give_back(raw, ended, own_queue)
    redis.call('LPOP', landing)
end

local left = redis.call('HLEN', held) + redis.call('LLEN', landing)
if left == 0 then
    redis.call('ZREM', leases, owner)
    if not gone_member then
        redis.call('ZADD', gone, now + look_again_ms, string.format('%d %s', now + forget_ms, owner))
    elseif now >= tonumber(string.match(gone_member, '^%d+') or 0) then
        redis.call('ZREM', gone, gone_member)
    else
        redis.call('ZADD', gone, now + look_again_ms, gone_member)
    end
end
return {owner, #entries + #landed, left}
