-- Shared by every script; scripts.py puts it first, after the constants it generates from the Python
-- models: K (key by name), LEGAL (lifecycle), FINAL, and the bounds.
-- A script validates everything, then writes: Lua never rolls back.

-- Whole numbers as text; Lua would write -0 and exponents.
local function int(number)
  if number == 0 then return '0' end
  return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function run(field) return redis.call('HGET', K.run, field) or nil end

local function get(id, attribute)
  return redis.call('HGET', K.tasks, id .. ':' .. attribute) or nil
end

local function num(id, attribute) return tonumber(get(id, attribute) or '0') end

local function put(id, attribute, value)
  redis.call('HSET', K.tasks, id .. ':' .. attribute, value)
end

local function drop(id, ...)
  for _, attribute in ipairs({...}) do redis.call('HDEL', K.tasks, id .. ':' .. attribute) end
end

local function wake(list)
  redis.call('RPUSH', K[list], '1')
  redis.call('LTRIM', K[list], -WAKE_LENGTH, -1)
end

local function note(verb, id, agent)
  local line = table.concat({int(NOW), agent or '', verb, id, get(id, 'title') or ''}, '\t')
  redis.call('LPUSH', K.activity, line)
  redis.call('LTRIM', K.activity, 0, ACTIVITY_LENGTH - 1)
end

-- agents -----------------------------------------------------------------------------------------------

local function index_of(agent) return string.match(agent or '', '^agent%-(%d+)$') end

local function seen(agent)
  local index = index_of(agent)
  if index then redis.call('HSET', K.agents, index .. ':seen', int(NOW)) end
end

local function count(agent, counter)
  local index = index_of(agent)
  if index then redis.call('HINCRBY', K.agents, index .. ':' .. counter, 1) end
end

-- Index of a pod: its own, else the lowest that is free or whose holder is gone; nil when all are taken.
local function register(pod)
  local index = redis.call('HGET', K.agents, 'pod:' .. pod)
  if not index then
    for i = 0, MAX_AGENTS - 1 do
      local holder = redis.call('HGET', K.agents, i .. ':pod')
      local last = tonumber(redis.call('HGET', K.agents, i .. ':seen') or '0')
      if not holder or last < NOW - AGENT_GONE_MS then
        if holder then redis.call('HDEL', K.agents, 'pod:' .. holder) end
        index = tostring(i)
        break
      end
    end
    if not index then return nil end
    redis.call('HSET', K.agents, 'pod:' .. pod, index, index .. ':pod', pod)
  end
  redis.call('HSET', K.agents, index .. ':seen', int(NOW))
  return index
end

-- tasks ------------------------------------------------------------------------------------------------

local KEEPS_CHANGES = {submitted = true, fixing = true}

-- The only place that changes a state. The sets (ready, leases, submitted) follow it here and nowhere else.
local function move(id, to)
  local from = get(id, 'state')
  if not (LEGAL[from] and LEGAL[from][to]) then
    error('illegal move of ' .. id .. ' from ' .. tostring(from) .. ' to ' .. to)
  end
  if from == 'ready' then
    redis.call('ZREM', K['ready:' .. get(id, 'type')], id)
  elseif from == 'leased' then
    redis.call('ZREM', K.leases, id)
    local index = index_of(get(id, 'agent'))
    if index and redis.call('HGET', K.agents, index .. ':task') == id then
      redis.call('HDEL', K.agents, index .. ':task')
    end
  elseif from == 'submitted' then
    redis.call('ZREM', K.submitted, id)
  end
  put(id, 'state', to)
  if to == 'ready' then
    drop(id, 'agent', 'claimed', 'submitted')
    redis.call('ZADD', K['ready:' .. get(id, 'type')], -num(id, 'priority'), id)
    wake('wake')
  elseif to == 'submitted' then
    put(id, 'submitted', int(NOW))
    redis.call('ZADD', K.submitted, redis.call('HINCRBY', K.run, 'sequence', 1), id)
    wake('wake:merge')
  elseif FINAL[to] then
    put(id, 'finished', int(NOW))
    redis.call('HINCRBY', K.run, 'open', -1)
  end
  if not KEEPS_CHANGES[to] then redis.call('HDEL', K.changes, id) end
end

-- Let those go on that waited for a task which has just become final.
local function free_dependents(id)
  for dependent in string.gmatch(redis.call('HGET', K.dependents, id) or '', '%S+') do
    local waits = redis.call('HINCRBY', K.tasks, dependent .. ':waits', -1)
    if waits == 0 and get(dependent, 'state') == 'pending' then move(dependent, 'ready') end
  end
end

local function create(id, kind, title, priority, body)
  redis.call('HSET', K.bodies, id, body)
  put(id, 'type', kind)
  put(id, 'title', title)
  put(id, 'priority', priority)
  redis.call('HINCRBY', K.run, 'open', 1)
end

-- The token alone decides who holds a lease: one that expired stays its holder's until it is reaped.
local function holds(id, token) return get(id, 'state') == 'leased' and get(id, 'token') == token end

-- Last thing that ended a claim or a submission, so that its repetition is answered DUP.
local function did(id, what, token) return get(id, 'done') == what .. ' ' .. token end

local function mark(id, what, token) put(id, 'done', what .. ' ' .. token) end

-- Put a claim or a submission back; nobody's work was judged.
local function give_back(id)
  note('returned', id, get(id, 'agent'))
  move(id, 'ready')
end

local function reap_leases(limit)
  local expired = redis.call('ZRANGEBYSCORE', K.leases, '-inf', int(NOW), 'LIMIT', 0, limit)
  for _, id in ipairs(expired) do give_back(id) end
  return #expired
end

-- Add evidence to a task; `counts` is '1' when it spends an attempt. Newest EVIDENCE_LENGTH are kept.
local function strike(id, failure, counts)
  local lines = {}
  for line in string.gmatch(redis.call('HGET', K.evidence, id) or '', '[^\n]+') do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = failure
  local first = math.max(1, #lines - EVIDENCE_LENGTH + 1)
  redis.call('HSET', K.evidence, id, table.concat(lines, '\n', first))
  if counts == '1' then redis.call('HINCRBY', K.tasks, id .. ':failures', 1) end
end

local function exhausted(id) return num(id, 'failures') >= tonumber(run('max_attempts') or '1') end

-- A judged failure of a claim or a submission: evidence, then `again` (a state), or a person's turn.
-- A repair's failure is one of its target, too, whose change set stays where it is.
local function judge(id, failure, counts, again)
  local agent, target = get(id, 'agent'), get(id, 'fix_of')
  strike(id, failure, counts)
  if target then strike(target, failure, counts) end
  if counts == '1' then count(agent, 'failed') end
  local owner = target or id
  if counts == '1' and exhausted(owner) then
    note('blocked', owner, agent)
    if target then move(id, 'skipped') end
    move(owner, 'blocked')
    return 'blocked'
  end
  note(again == 'fixing' and 'fixing' or 'failed', id, agent)
  move(id, again)
  return again
end

-- What git says has landed is completed, whatever a restored store believes. Unknown ids are nobody's.
local function has_landed(id, commit)
  local state = get(id, 'state')
  if not state or FINAL[state] then return end
  if state == 'fixing' then move(get(id, 'fix'), 'skipped') end
  if not LEGAL[state]['completed'] then move(id, 'ready') end
  move(id, 'completed')
  put(id, 'commit', commit)
  free_dependents(id)
end

-- ledger -----------------------------------------------------------------------------------------------

local function ledger(field) return tonumber(redis.call('HGET', K.ledger, field) or '0') end

-- Repairs may use the whole limit, others what is not kept for repairs.
local function fits(amount, tokens, fix)
  local limit = ledger('limit') - (fix and 0 or ledger('fix_reserve'))
  if ledger('spent') + ledger('reserved') + amount > limit then return false end
  local most = redis.call('HGET', K.ledger, 'max_tokens')
  local used = ledger('tokens_in') + ledger('tokens_cached') + ledger('tokens_out') + ledger('tokens_unknown')
  return not most or used + ledger('reserved_tokens') + tokens <= tonumber(most)
end

-- Refusals, of repairs and of others: the smallest worst cases since there was room, "<amount> <tokens>".
local REFUSED = {[true] = 'refused_fix', [false] = 'refused'}

local function refusal(fix)
  local amount, tokens = string.match(redis.call('HGET', K.ledger, REFUSED[fix]) or '', '^(%d+) (%d+)$')
  return tonumber(amount), tonumber(tokens)
end

local function refuse(amount, tokens, fix)
  local least, fewest = refusal(fix)
  local line = int(math.min(amount, least or amount)) .. ' ' .. int(math.min(tokens, fewest or tokens))
  redis.call('HSET', K.ledger, REFUSED[fix], line)
end

-- Claims wait for more budget; let them look again.
local function end_stop(fix)
  if redis.call('HDEL', K.ledger, REFUSED[fix]) == 1 then
    for _ = 1, WAKE_LENGTH do wake('wake') end
  end
end

-- A refused call that fits by now was refused too early: the stop is over.
local function reconsider()
  for _, fix in ipairs({true, false}) do
    local amount, tokens = refusal(fix)
    if amount and fits(amount, tokens, fix) then end_stop(fix) end
  end
end

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
  redis.call('HINCRBY', K.tasks, c.id .. ':cost', int(amount))
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
