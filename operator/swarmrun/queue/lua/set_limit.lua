-- ARGV: limit, most tokens or nothing, part of the limit that is kept for repairs. Money never below what is
-- spent and held; more budget ends the stop.
local old, old_reserve = ledger('limit'), ledger('fix_reserve')
local old_most, most = redis.call('HGET', K.ledger, 'max_tokens'), tonumber(ARGV[2])
local limit = math.max(tonumber(ARGV[1]), ledger('spent') + ledger('reserved'))
redis.call('HSET', K.ledger, 'limit', int(limit), 'fix_reserve', ARGV[3])
if most then
  redis.call('HSET', K.ledger, 'max_tokens', int(most))
else
  redis.call('HDEL', K.ledger, 'max_tokens')
end
local more_tokens = old_most and (not most or most > tonumber(old_most))
if limit > old or more_tokens or tonumber(ARGV[3]) < old_reserve then
  end_stop(true)
  end_stop(false)
end
return 1
