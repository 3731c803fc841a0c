-- ARGV: id, token, change set, its digest.
return submit(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
