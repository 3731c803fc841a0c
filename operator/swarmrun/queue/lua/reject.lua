-- ARGV: id, token, failure, '1' if it spends an attempt, then the repair: id, type, title, priority, body;
-- an empty id means none. A repair's own rejection needs no further repair.
local id, token, failure, counts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fix = ARGV[5]
if did(id, 'reject', token) then return 'DUP' end
if get(id, 'state') ~= 'submitted' or get(id, 'token') ~= token then return 'STALE' end
if get(id, 'fix_of') or fix == '' then
  mark(id, 'reject', token)
  judge(id, failure, counts, 'ready')
  return 'OK'
end
local before = get(fix, 'state')
if before and not (before == 'skipped' and get(fix, 'fix_of') == id) then return 'OCCUPIED' end

mark(id, 'reject', token)
if judge(id, failure, counts, 'fixing') ~= 'fixing' then return 'OK' end
-- A second life of the same repair keeps its cost and forgets the rest.
drop(fix, 'failures', 'agent', 'attempt', 'claimed', 'submitted', 'finished', 'hint', 'done', 'accepted')
create(fix, ARGV[6], ARGV[7], ARGV[8], ARGV[9])
put(fix, 'fix_of', id)
put(id, 'fix', fix)
put(fix, 'state', 'pending')
if not before then redis.call('HINCRBY', K.run, 'total', 1) end
redis.call('HSET', K.evidence, fix, redis.call('HGET', K.evidence, id))
local hint = get(id, 'hint')
if hint then put(fix, 'hint', hint) end
move(fix, 'ready')
return 'OK'
