-- ARGV: id, token, failure, '1' if it spends an attempt, its fingerprint.
local id, token = ARGV[1], ARGV[2]
if did(id, 'fail', token) then return 'DUP' end
if not holds(id, token) then return 'STALE' end
seen(get(id, AGENT))
mark(id, 'fail', token)
judge(id, ARGV[3], ARGV[4], ARGV[5], 'ready')
return 'OK'
