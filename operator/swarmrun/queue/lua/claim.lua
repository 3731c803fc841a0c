-- ARGV: pod, lease in seconds, expired leases to return, run id of this server.
return claim(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4])
