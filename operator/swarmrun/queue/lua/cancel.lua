-- ARGV: call. It never reached the provider, so its hold is free again, even one charged at its expiry.
local call = ARGV[1]
local c = read_call(call)
if not c then return 'STALE' end
if c.state == 'cancelled' then return 'DUP' end
if c.state == 'settled' then return 'STALE' end
if c.state == 'held' then
  close_hold(call, c, 'cancelled')
else
  c.state = 'cancelled'
  write_call(call, c)
  charge(c, -c.amount)
  redis.call('HINCRBY', K.ledger, 'calls', -1)
  tally(c, 'calls', -1)
  redis.call('HINCRBY', K.ledger, 'tokens_unknown', int(-c.tokens))
  tally(c, 'unknown', -1)
end
reconsider()
return 'OK'
