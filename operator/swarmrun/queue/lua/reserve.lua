-- ARGV: call, task id, token, worst case, model, ttl in milliseconds, worst case in tokens.
local call, id, token, worst, model = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
if redis.call('HEXISTS', K.calls, call) == 1 then return 'duplicate' end
if not holds(id, token) then return 'stale' end
-- Stricter than the other calls: past its deadline nobody may begin to spend, reaped or not.
if tonumber(redis.call('ZSCORE', K.leases, id)) <= NOW then return 'stale' end
if run('state') ~= 'active' then return 'paused' end
local kind, tokens = get(id, TYPE), tonumber(ARGV[7])
local fix = kind == 'fix_bug'
if not fits(worst, tokens, fix) then
  refuse(worst, tokens, fix)
  return 'budget'
end
redis.call('HINCRBY', K.ledger, 'reserved', int(worst))
redis.call('HINCRBY', K.ledger, 'reserved_tokens', int(tokens))
write_call(call, {state = 'held', amount = worst, tokens = tokens, kind = kind, id = id, model = model})
redis.call('ZADD', K.holds, int(NOW + tonumber(ARGV[6])), call)
return 'reserved'
