-- Takes entries off the queues into the hash of the worker that asks, which has them until it lets go of them.
--
-- KEYS: the leases, the worker's hash, its landing list, the entries given back, and the queues, in the order in which
-- they are to be asked; BLMOVE puts an entry of the last one onto the landing list.
-- ARGV: the worker, its lease in ms, '1' when it takes for the first time, how many to take (0: only the lease and what is
-- let go of), the number of the first entry, the field of the entry that it already has from its landing list or '', and
-- the fields that it lets go of.
-- Returns what is left of the lease in ms, -1 where it is lost, and for each entry taken its field and its bytes. A field
-- is 'number deliveries queue': how many workers that had it are gone, and where it came from.
--
-- An entry is copied before it is removed: where a command is refused half-way (to this user, say) it is there twice, and
-- not nowhere. A server whose memory is full looks at the first write alone, so that is one which frees memory: what
-- fills it can be taken away.
local leases, held, landing, returned = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owner, lease_ms, room, number, landed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('HDEL', held, '', unpack(ARGV, 7))

local ends = redis.call('ZSCORE', leases, owner)
if not ends and ARGV[3] == '1' then
    ends = now
elseif ends and tonumber(ends) <= now then
    ends = false
end

if ends and landed ~= '' then
    local raw = redis.call('LINDEX', landing, 0)
    if raw then
        redis.call('HSET', held, landed, raw)
        redis.call('LPOP', landing)
    end
    -- It may be among those let go of.
    redis.call('HDEL', held, '', unpack(ARGV, 7))
end
if not ends then
    return {-1}
end
-- Not each time: what is written goes to the append-only file and to replicas. More than a whole lease is left where the
-- clock was put back.
local left = tonumber(ends) - now
if left < lease_ms * 2 / 3 or left > lease_ms then
    ends = now + lease_ms
    redis.call('ZADD', leases, ends, owner)
end

local reply = {tonumber(ends) - now}

local function hold(raw, deliveries, queue)
    local field = string.format('%d %d %s', number, deliveries, queue)
    number = number + 1
    room = room - 1
    redis.call('HSET', held, field, raw)
    reply[#reply + 1] = field
    reply[#reply + 1] = raw
end

local function take(key, most, read)
    if most < 1 then
        return
    end
    local raws = redis.call('LRANGE', key, -most, -1)
    for i = #raws, 1, -1 do
        hold(read(raws[i]))
    end
    if #raws > 0 then
        redis.call('RPOP', key, #raws)
    end
end

local function as_sent(queue)
    return function(raw) return raw, 0, queue end
end

local function as_returned(entry)
    local deliveries, queue, begins = string.match(entry, '^(%d%d?%d?) ([%w._:-]+)\n()')
    if not deliveries or #queue > 255 then
        return entry, 0, KEYS[#KEYS]
    end
    return string.sub(entry, begins), tonumber(deliveries), queue
end

if room > 0 then
    -- Nothing, but where the connection was lost while an entry came.
    take(landing, room, as_sent(KEYS[#KEYS]))
    -- First to each its share, so that none is shut out by the others, and then what there is.
    for round = 1, 2 do
        for i = 4, #KEYS do
            local share = round == 1 and math.ceil(room / (#KEYS - i + 1)) or room
            take(KEYS[i], share, i == 4 and as_returned or as_sent(KEYS[i]))
        end
    end
end
return reply
