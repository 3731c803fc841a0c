-- End a lease with a change set, in one step.
local function submit(id, token, change_set, digest)
  local acceptance = token .. ' ' .. digest
  if get(id, ACCEPTED) == acceptance then return 'DUP' end
  if not holds(id, token) then return 'STALE' end
  seen(get(id, AGENT))
  move(id, 'submitted')
  redis.call('HSET', K.changes, id, change_set)
  put(id, ACCEPTED, acceptance)
  note('submitted', id, get(id, AGENT))
  return 'OK'
end
