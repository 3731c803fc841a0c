-- ARGV: call, task id, token, worst case, model, ttl in milliseconds.
local call, id, token, worst, model = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
if redis.call('HEXISTS', K.calls, call) == 1 then return 'duplicate' end
if not holds(id, token) then return 'stale' end
-- Stricter than the other calls: past its deadline nobody may begin to spend, reaped or not.
if tonumber(redis.call('ZSCORE', K.leases, id)) <= NOW then return 'stale' end
if run('state') ~= 'active' then return 'paused' end
if ledger('spent') + ledger('reserved') + worst > ledger('limit') then
  local refused = redis.call('HGET', K.ledger, 'refused')
  if not refused or worst < tonumber(refused) then redis.call('HSET', K.ledger, 'refused', int(worst)) end
  return 'budget'
end
redis.call('HINCRBY', K.ledger, 'reserved', int(worst))
write_call(call, {state = 'held', amount = worst, kind = get(id, 'type'), id = id, model = model})
redis.call('ZADD', K.holds, int(NOW + tonumber(ARGV[6])), call)
return 'reserved'
