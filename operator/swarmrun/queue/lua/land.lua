-- ARGV: id, token, commit, commit of the target (of a repair). Both land, or neither.
local id, token = ARGV[1], ARGV[2]
if did(id, 'land', token) then return 'DUP' end
if get(id, 'state') ~= 'submitted' or get(id, 'token') ~= token then return 'STALE' end
local target = get(id, 'fix_of')
mark(id, 'land', token)

local function complete(done, commit)
  local agent = get(done, 'agent')
  move(done, 'completed')
  put(done, 'commit', commit)
  count(agent, 'completed')
  note('completed', done, agent)
end

if target then complete(target, ARGV[4]) end
complete(id, ARGV[3])
if target then free_dependents(target) end
free_dependents(id)
return 'OK'
