-- ARGV: id, action, hint.
local id, action, hint = ARGV[1], ARGV[2], ARGV[3]
local state = get(id, 'state')
if not state or get(id, 'fix_of') then return 'STALE' end
if action == 'retry' then
  if FINAL[state] then return 'STALE' end
  if state ~= 'blocked' then return 'DUP' end
  drop(id, 'failures', 'fix')
  redis.call('HDEL', K.evidence, id)
  if hint ~= '' then put(id, 'hint', hint) end
  give_back(id)
  return 'OK'
end
if state == 'skipped' then return 'DUP' end
if state == 'completed' then return 'STALE' end
if state == 'fixing' then move(get(id, 'fix'), 'skipped') end
move(id, 'skipped')
free_dependents(id)
return 'OK'
