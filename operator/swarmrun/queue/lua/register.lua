-- ARGV: pod. Returns index, task, last seen, completed, failed.
if not run('epoch') then return {'CLOSED'} end
local index = register(ARGV[1])
if not index then return {'FULL'} end
local values = redis.call('HMGET', K.agents, index .. ':task', index .. ':completed', index .. ':failed')
return {'OK', index, values[1] or '', int(NOW), values[2] or '0', values[3] or '0'}
