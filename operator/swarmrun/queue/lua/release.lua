-- ARGV: id, token.
local id, token = ARGV[1], ARGV[2]
if did(id, 'release', token) then return 'DUP' end
if not holds(id, token) then return 'STALE' end
mark(id, 'release', token)
give_back(id)
return 'OK'
