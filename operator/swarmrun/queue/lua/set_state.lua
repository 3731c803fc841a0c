-- ARGV: state. Those who wait look again, whatever it is now.
redis.call('HSET', K.run, 'state', ARGV[1])
for _ = 1, WAKE_LENGTH do wake('wake') end
return 1
