-- ARGV: id, token, commit, commit of the target (of a repair). Both land, or neither.
local id, token = ARGV[1], ARGV[2]
if did(id, 'land', token) then return 'DUP' end
if not waits_for_merge(id, token) then return 'STALE' end
local target = get(id, FIX_OF)
mark(id, 'land', token)

local function complete(done, commit)
  local index = get(done, AGENT)
  move(done, 'completed')
  put(done, COMMIT, commit)
  count(index, COMPLETED)
  note('completed', done, index)
end

if target then complete(target, ARGV[4]) end
complete(id, ARGV[3])
if target then free_dependents(target) end
free_dependents(id)
return 'OK'
