-- ARGV: id, action, hint.
local id, action, hint = ARGV[1], ARGV[2], ARGV[3]
local state = get(id, STATE)
if not state or get(id, FIX_OF) then return 'STALE' end
if action == 'retry' then
  if among(FINAL, state) then return 'STALE' end
  if state ~= 'blocked' then return 'DUP' end
  drop(id, FAILURES, FINGERPRINT, FIX, EVIDENCE)
  redis.call('HDEL', K.evidence, id)
  if hint ~= '' then
    redis.call('HSET', K.hints, id, hint)
    put(id, HINT, '1')
  end
  give_back(id)
  return 'OK'
end
if state == 'skipped' then return 'DUP' end
if state == 'completed' then return 'STALE' end
if state == 'fixing' then move(get(id, FIX), 'skipped') end
move(id, 'skipped')
free_dependents(id)
return 'OK'
