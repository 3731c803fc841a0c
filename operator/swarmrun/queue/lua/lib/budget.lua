local function ledger(field) return tonumber(redis.call('HGET', K.ledger, field) or '0') end

-- Repairs may use the whole limit, others what is not kept for repairs.
local function fits(amount, tokens, fix)
  local sums = redis.call('HMGET', K.ledger, 'limit', 'fix_reserve', 'spent', 'reserved', 'max_tokens',
    'tokens_in', 'tokens_cached', 'tokens_out', 'tokens_unknown', 'reserved_tokens')
  local most = sums[5]
  for i, text in ipairs(sums) do sums[i] = tonumber(text or '0') end
  if sums[3] + sums[4] + amount > sums[1] - (fix and 0 or sums[2]) then return false end
  return not most or sums[6] + sums[7] + sums[8] + sums[9] + sums[10] + tokens <= sums[5]
end

-- Refusals, of repairs and of others: the smallest worst cases since there was room, "<amount> <tokens>".
local REFUSED = {[true] = 'refused_fix', [false] = 'refused'}

local function refusal(fix)
  local amount, tokens = string.match(redis.call('HGET', K.run, REFUSED[fix]) or '', '^(%d+) (%d+)$')
  return tonumber(amount), tonumber(tokens)
end

local function refuse(amount, tokens, fix)
  local least, fewest = refusal(fix)
  local line = int(math.min(amount, least or amount)) .. ' ' .. int(math.min(tokens, fewest or tokens))
  redis.call('HSET', K.run, REFUSED[fix], line)
end

-- Claims wait for more budget; let them look again.
local function end_stop(fix)
  if redis.call('HDEL', K.run, REFUSED[fix]) == 1 then
    wake_all()
  end
end

-- A refused call that fits by now was refused too early: the stop is over.
local function reconsider()
  for _, fix in ipairs({true, false}) do
    local amount, tokens = refusal(fix)
    if amount and fits(amount, tokens, fix) then end_stop(fix) end
  end
end
