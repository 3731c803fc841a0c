-- ARGV: id, token, change set.
return submit(ARGV[1], ARGV[2], ARGV[3])
