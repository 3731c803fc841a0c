-- ARGV: call, ttl in milliseconds. A hold that expired was charged: nothing is left to prolong.
local c = read_call(ARGV[1])
if not c or c.state ~= 'held' then return 'STALE' end
redis.call('ZADD', K.holds, int(NOW + tonumber(ARGV[2])), ARGV[1])
return 'OK'
