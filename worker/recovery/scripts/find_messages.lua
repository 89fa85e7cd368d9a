-- Finds which events have a message in Redis: in the hands of a worker (or of one that is gone, whose entries are given
-- back within a second), or on a list that workers ask beside that of fresh events.
--
-- KEYS: the leases, then the lists. ARGV: what the names of workers' hashes begin with, how many entries to look at, and
-- the ids of the events.
-- Returns '1' if all entries were looked at, or all events were found ('0' if not), and for each event that was found
-- 'held' or 'queued' and its id. The id is read where Celery's envelope has it: whoever writes to Redis can claim one.
local leases, prefix, left = KEYS[1], ARGV[1], tonumber(ARGV[2])
local page, max_owners = 200, 1000

local wanted, missing = {}, 0
for i = 3, #ARGV do
    if not wanted[ARGV[i]] then
        wanted[ARGV[i]], missing = true, missing + 1
    end
end

local is_complete = true
local reply = {'1'}

local function look(raw, where)
    left = left - 1
    local _, before = string.find(raw, '"id": "', 1, true)
    local id = before and string.sub(raw, before + 1, before + 36)
    if id and wanted[id] then
        wanted[id], missing = nil, missing - 1
        reply[#reply + 1] = where
        reply[#reply + 1] = id
    end
end

local function is_over()
    return missing == 0 or left <= 0
end

-- The lists first: what a worker has and does not come to may have been sent on beside it.
for i = 2, #KEYS do
    local length = redis.call('LLEN', KEYS[i])
    -- The oldest first.
    for from = 1, length, page do
        if is_over() then
            is_complete = false
            break
        end
        for _, raw in ipairs(redis.call('LRANGE', KEYS[i], -(from + page - 1), -from)) do
            look(raw, 'queued')
        end
    end
end

-- More owners than there can be workers are somebody's invention.
local owners = redis.call('ZRANGE', leases, 0, max_owners)
if #owners > max_owners then
    is_complete = false
    owners[#owners] = nil
end
for _, owner in ipairs(owners) do
    local cursor = '0'
    repeat
        if is_over() then
            is_complete = false
            break
        end
        local scanned = redis.call('HSCAN', prefix .. owner, cursor, 'COUNT', page)
        cursor = scanned[1]
        for i = 2, #scanned[2], 2 do
            look(scanned[2][i], 'held')
        end
    until cursor == '0'
end

if missing > 0 and not is_complete then
    reply[1] = '0'
end
return reply
