-- Takes entries off the queues into the hash of the worker that asks, which has them until it lets go of them.
--
-- KEYS: the leases, the worker's hash, its landing list, the entries given back, the queues of our own, and then those of
-- partners; BLMOVE puts an entry of the first queue onto the landing list.
-- ARGV: the worker, its lease in ms, '1' when it takes for the first time, how many to take (0: only the lease and what is
-- let go of), the number of the first entry, the field of the entry that it already has from its landing list or '', how
-- many to take of partners' at most, how many queues are partners', the weight of each list that is not, the weight of each
-- of the partners', and then the fields that it lets go of.
-- Returns what is left of the lease in ms, -1 where it is lost, and for each entry taken its field and its bytes. A field
-- is 'number deliveries queue': how many workers that had it are gone, and where it came from.
--
-- An entry is copied before it is removed: where a command is refused half-way (to this user, say) it is there twice, and
-- not nowhere. A server whose memory is full looks at the first write alone, so that is one which frees memory: what
-- fills it can be taken away.
local leases, held, landing, returned = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owner, lease_ms, room, number, landed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local partners_room, partners, own_weight = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local waits_at, first_of_partners = KEYS[5], #KEYS - partners + 1
local let_go_from = 10 + partners
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('HDEL', held, '', unpack(ARGV, let_go_from))

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
    redis.call('HDEL', held, '', unpack(ARGV, let_go_from))
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

-- Of large entries fewer: they are nothing of ours, and one reply is not to fill a worker's memory.
local bytes_left = 2 * 1024 * 1024
local function take(key, most, read)
    if most < 1 then
        return
    end
    local raws = redis.call('LRANGE', key, -most, -1)
    local taken = 0
    while taken < #raws and bytes_left > 0 do
        local raw = raws[#raws - taken]
        hold(read(raw))
        bytes_left = bytes_left - #raw
        taken = taken + 1
    end
    if taken > 0 then
        redis.call('RPOP', key, taken)
    end
end

local function as_sent(queue)
    return function(raw) return raw, 0, queue end
end

local function as_returned(entry)
    local deliveries, queue, begins = string.match(entry, '^(%d%d?%d?) ([%w._:-]+)\n()')
    if not deliveries or #queue > 255 then
        return entry, 0, waits_at
    end
    return string.sub(entry, begins), tonumber(deliveries), queue
end

-- The lists that have something, with how much; what is no list of a partner's is its own affair.
local function filled()
    local lists, total = {}, 0
    for i = 4, #KEYS do
        local of_partner = i >= first_of_partners
        local left = 0
        if not of_partner then
            left = redis.call('LLEN', KEYS[i])
        elseif partners_room > 0 then
            left = redis.pcall('LLEN', KEYS[i])
            left = type(left) == 'number' and left or 0
        end
        if left > 0 then
            local weight = of_partner and tonumber(ARGV[10 + i - first_of_partners]) or own_weight
            lists[#lists + 1] = {key = i, left = left, weight = weight, of_partner = of_partner, share = 0}
            total = total + weight
        end
    end
    return lists, total
end

-- Gives each place in hand to one of the lists, as often to each as its weight says: multiples of the golden ratio fall
-- evenly onto a circle, and the lists have arcs of it. So no list waits for longer than its weight is small, and nothing
-- has to be remembered from one take to the next but the number of the entry.
local golden = (math.sqrt(5) - 1) / 2
local function shares(lists, total)
    local active = {unpack(lists)}
    local function drop(at)
        total = total - active[at].weight
        table.remove(active, at)
    end
    for place = number, number + room - 1 do
        if #active == 0 then
            break
        end
        local at, onto = 1, place * golden % 1 * total
        while at < #active and onto >= active[at].weight do
            onto = onto - active[at].weight
            at = at + 1
        end
        local list = active[at]
        list.share = list.share + 1
        if list.of_partner then
            partners_room = partners_room - 1
        end
        if list.share == list.left then
            drop(at)
        end
        if partners_room < 1 then
            for each = #active, 1, -1 do
                if active[each].of_partner then
                    drop(each)
                end
            end
        end
    end
end

if room > 0 then
    -- Nothing, but where the connection was lost while an entry came.
    take(landing, room, as_sent(waits_at))
end
if room > 0 then
    local lists, total = filled()
    if #lists == 1 and not lists[1].of_partner then
        lists[1].share = math.min(room, lists[1].left)
    else
        shares(lists, total)
    end
    for _, list in ipairs(lists) do
        take(KEYS[list.key], list.share, list.key == 4 and as_returned or as_sent(KEYS[list.key]))
    end
end
return reply
