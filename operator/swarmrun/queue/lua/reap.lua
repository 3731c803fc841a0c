-- ARGV: limit. Expired leases go back, expired holds are charged: a frozen caller may still spend them.
local limit = tonumber(ARGV[1])
local leases = reap_leases(limit)
if leases >= limit then return leases end
return leases + reap_holds(limit - leases)
