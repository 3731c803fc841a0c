-- ARGV: limit. Never below what is spent and held; a higher limit ends the stop.
local old = ledger('limit')
local limit = math.max(tonumber(ARGV[1]), ledger('spent') + ledger('reserved'))
redis.call('HSET', K.ledger, 'limit', int(limit))
if limit > old then
  if redis.call('HDEL', K.ledger, 'refused') == 1 then
    for _ = 1, WAKE_LENGTH do wake('wake') end
  end
end
return 1
