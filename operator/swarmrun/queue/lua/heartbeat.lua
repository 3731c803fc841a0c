-- ARGV: id, token.
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return 'STALE' end
redis.call('ZADD', K.leases, int(NOW + num(id, TTL) * 1000), id)
seen(get(id, AGENT))
return 'OK'
