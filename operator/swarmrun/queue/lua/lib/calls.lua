-- A call's record is "<state> <amount> <tokens> <task type> <task id> <model>".
local function read_call(call)
  local record = redis.call('HGET', K.calls, call)
  if not record then return nil end
  local state, amount, tokens, kind, id, model =
    string.match(record, '^(%S+) (%d+) (%d+) (%S+) (%S+) (.*)$')
  return {
    state = state, amount = tonumber(amount), tokens = tonumber(tokens), kind = kind, id = id, model = model,
  }
end

local function write_call(call, c)
  local record = table.concat({c.state, int(c.amount), int(c.tokens), c.kind, c.id, c.model}, ' ')
  redis.call('HSET', K.calls, call, record)
end

local function tally(c, metric, amount)
  if amount ~= 0 then
    redis.call('HINCRBY', K.cost, metric .. '\t' .. c.kind .. '\t' .. c.model, int(amount))
  end
end

local function charge(c, amount)
  redis.call('HINCRBY', K.ledger, 'spent', int(amount))
  put(c.id, COST, int(num(c.id, COST) + amount))
  tally(c, 'cost_micro_usd', amount)
end

-- End a hold: free it, or charge it whole. Remembered calls are bounded.
local function close_hold(call, c, state)
  redis.call('ZREM', K.holds, call)
  redis.call('HINCRBY', K.ledger, 'reserved', int(-c.amount))
  redis.call('HINCRBY', K.ledger, 'reserved_tokens', int(-c.tokens))
  c.state = state
  write_call(call, c)
  redis.call('ZADD', K.settled, int(NOW), call)
  local old = redis.call('ZRANGE', K.settled, 0, -CALLS_REMEMBERED - 1)
  for _, forgotten in ipairs(old) do
    redis.call('ZREM', K.settled, forgotten)
    redis.call('HDEL', K.calls, forgotten)
  end
end

local function charge_whole(call, c, state)
  close_hold(call, c, state)
  charge(c, c.amount)
  redis.call('HINCRBY', K.ledger, 'tokens_unknown', int(c.tokens))
  redis.call('HINCRBY', K.ledger, 'calls', 1)
  tally(c, 'calls', 1)
  tally(c, 'unknown', 1)
end

local function reap_holds(limit)
  local expired = redis.call('ZRANGEBYSCORE', K.holds, '-inf', int(NOW), 'LIMIT', 0, limit)
  for _, call in ipairs(expired) do charge_whole(call, read_call(call), 'expired') end
  return #expired
end
