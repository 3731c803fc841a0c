-- ARGV: pod, lease in seconds, expired leases to return.
return claim(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
