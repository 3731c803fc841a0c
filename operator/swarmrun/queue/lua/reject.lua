-- ARGV: id, token, failure, '1' if it spends an attempt, its fingerprint, then the repair: id, type, title,
-- priority, body; an empty id means none. A repair's own rejection needs no further repair.
local id, token, failure, counts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fingerprint, fix = ARGV[5], ARGV[6]
if did(id, 'reject', token) then return 'DUP' end
if not waits_for_merge(id, token) then return 'STALE' end
if get(id, FIX_OF) or fix == '' then
  mark(id, 'reject', token)
  judge(id, failure, counts, fingerprint, 'ready')
  return 'OK'
end
local before, cost = get(fix, STATE), get(fix, COST)
if before and not (before == 'skipped' and get(fix, FIX_OF) == id) then return 'OCCUPIED' end

mark(id, 'reject', token)
if judge(id, failure, counts, fingerprint, 'fixing') ~= 'fixing' then return 'OK' end
-- A second life of the same repair keeps its cost and forgets the rest.
create(fix, ARGV[7], ARGV[8], ARGV[9], ARGV[10])
put(fix, COST, cost or '')
put(fix, FIX_OF, id)
put(id, FIX, fix)
redis.call('HINCRBY', K.run, 'open', 1)
if not before then redis.call('HINCRBY', K.run, 'total', 1) end
redis.call('HSET', K.evidence, fix, redis.call('HGET', K.evidence, id))
put(fix, EVIDENCE, '1')
if get(id, HINT) then
  redis.call('HSET', K.hints, fix, redis.call('HGET', K.hints, id))
  put(fix, HINT, '1')
end
move(fix, 'ready')
return 'OK'
