-- ARGV: state. Those who wait look again, whatever it is now.
redis.call('HSET', K.run, 'state', ARGV[1])
wake_all()
return 1
