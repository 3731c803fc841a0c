-- ARGV: id, token, change set. The lease ends and the change set is stored in one step.
local id, token, change_set = ARGV[1], ARGV[2], ARGV[3]
local digest = redis.sha1hex(change_set)
if get(id, 'accepted') == token .. ' ' .. digest then return 'DUP' end
if not holds(id, token) then return 'STALE' end
seen(get(id, 'agent'))
move(id, 'submitted')
redis.call('HSET', K.changes, id, change_set)
put(id, 'accepted', token .. ' ' .. digest)
note('submitted', id, get(id, 'agent'))
return 'OK'
