-- ARGV: pod. Returns index, task, last seen, completed, failed.
if not run('epoch') then return {'CLOSED'} end
local index = register(ARGV[1])
if not index then return {'FULL'} end
local a = agent(index)
return {'OK', index, a[TASK], a[SEEN], a[COMPLETED], a[FAILED]}
