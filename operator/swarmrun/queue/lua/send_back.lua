-- ARGV: id, token.
local id, token = ARGV[1], ARGV[2]
if did(id, 'send_back', token) then return 'DUP' end
if not waits_for_merge(id, token) then return 'STALE' end
mark(id, 'send_back', token)
give_back(id)
return 'OK'
