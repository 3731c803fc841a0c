-- ARGV: limit. Oldest first; each as one row, the target's row behind a repair's.
local function row(id)
  return {
    id, get(id, 'token'), get(id, 'agent'), get(id, 'attempt'), get(id, 'ttl'), get(id, 'submitted'),
    redis.call('HGET', K.bodies, id), redis.call('HGET', K.changes, id),
  }
end

local found = {}
for _, id in ipairs(redis.call('ZRANGE', K.submitted, 0, tonumber(ARGV[1]) - 1)) do
  local target = get(id, 'fix_of')
  found[#found + 1] = {row(id), target and row(target) or false}
end
if #found == 0 then redis.call('DEL', K['wake:merge']) end
return found
