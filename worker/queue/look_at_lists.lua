-- Brings home what lies on lists of ours that nobody reads, and looks at lists where others may have put something by a
-- slip. A bounded look: of each list its length and its head, of which nothing but a digest is told.
--
-- ARGV: how many entries to bring home from each list at most, how many lists are ours, where the last look for keys
-- stopped, the pattern of the keys to look for, how many keys to look at about, for each list of ours its name and the
-- queue that it belongs to, and then the names of the others. They are no KEYS: a user may be allowed to read some of them.
-- Returns where this look for keys stopped ('' where this user may not look), the keys that it found, and then for each list
-- of ours how many entries went home, and for each of the others how many lie there (-1 where this user may not look) and
-- the digest of the one that is the next to be taken.
local most, ours = tonumber(ARGV[1]), tonumber(ARGV[2])
local digested_bytes = 4096

local scanned = redis.pcall('SCAN', ARGV[3], 'MATCH', ARGV[4], 'COUNT', ARGV[5])
local reply = scanned.err and {'', {}} or {scanned[1], scanned[2]}

for i = 6, 5 + 2 * ours, 2 do
    local moved = 0
    while moved < most do
        -- To the head: what lay here has waited. It is on the one list or on the other, whatever happens.
        local raw = redis.pcall('LMOVE', ARGV[i], ARGV[i + 1], 'RIGHT', 'RIGHT')
        if type(raw) ~= 'string' then
            break
        end
        moved = moved + 1
    end
    reply[#reply + 1] = moved
end

for i = 6 + 2 * ours, #ARGV do
    local length = redis.pcall('LLEN', ARGV[i])
    local head = type(length) == 'number' and length > 0 and redis.pcall('LINDEX', ARGV[i], -1)
    if type(length) == 'table' or type(head) == 'table' then
        -- What is no list is nobody's queue.
        local why = type(length) == 'table' and length.err or head.err
        length = string.find(why, 'WRONGTYPE', 1, true) and 0 or -1
        head = nil
    end
    reply[#reply + 1] = length
    reply[#reply + 1] = head and redis.sha1hex(#head .. string.sub(head, 1, digested_bytes)) or ''
end
return reply
