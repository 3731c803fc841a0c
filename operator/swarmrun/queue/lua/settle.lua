-- ARGV: call, then nothing (usage unknown) or cost, input, cache read, cache write, output.
-- A hold that expired was charged whole; a later report corrects it.
local call = ARGV[1]
local c = read_call(call)
if not c then return 'STALE' end
if c.state ~= 'held' and not (c.state == 'expired' and ARGV[2]) then return 'DUP' end
if not ARGV[2] then
  charge_whole(call, c, 'settled')
  reconsider()
  return 'OK'
end
if c.state == 'held' then
  close_hold(call, c, 'settled')
  charge(c, tonumber(ARGV[2]))
  redis.call('HINCRBY', K.ledger, 'calls', 1)
  tally(c, 'calls', 1)
else
  c.state = 'settled'
  write_call(call, c)
  charge(c, tonumber(ARGV[2]) - c.amount)
  redis.call('HINCRBY', K.ledger, 'tokens_unknown', int(-c.tokens))
  tally(c, 'unknown', -1)
end
local input, read, write, output = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('HINCRBY', K.ledger, 'tokens_in', int(input + write))
redis.call('HINCRBY', K.ledger, 'tokens_cached', int(read))
redis.call('HINCRBY', K.ledger, 'tokens_out', int(output))
tally(c, 'input_tokens', input)
tally(c, 'cache_read_tokens', read)
tally(c, 'cache_write_tokens', write)
tally(c, 'output_tokens', output)
reconsider()
return 'OK'
