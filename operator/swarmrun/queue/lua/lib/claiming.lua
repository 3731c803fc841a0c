local function empty(reason)
  redis.call('DEL', K.wake)
  return {'EMPTY', reason}
end

-- The most urgent of some pools.
local function best(pools)
  local id, score
  for pool in string.gmatch(pools, '%S+') do
    local head = redis.call('ZRANGE', K['ready:' .. pool], 0, 0, 'WITHSCORES')
    if head[1] then
      local other = tonumber(head[2])
      if not id or other < score then id, score = head[1], other end
    end
  end
  return id
end

local function lease(id, index, epoch, ttl)
  local token = epoch .. '-' .. redis.call('HINCRBY', K.run, 'counter', 1)
  local target = get(id, FIX_OF)
  local attempt = int(num(target or id, FAILURES) + 1)
  move(id, 'leased')
  redis.call('ZADD', K.leases, int(NOW + ttl * 1000), id)
  agent(index)[TASK] = id
  put(id, TOKEN, token)
  put(id, AGENT, index)
  put(id, ATTEMPT, attempt)
  put(id, TTL, ttl)
  put(id, CLAIMED, int(NOW))
  note('claimed', id, index)
  return {
    'CLAIMED', id, token, index, attempt, redis.call('HGET', K.bodies, id),
    get(id, EVIDENCE) and redis.call('HGET', K.evidence, id) or '',
    target and redis.call('HGET', K.changes, target) or '',
    get(id, HINT) and redis.call('HGET', K.hints, id) or '',
  }
end

-- What holds for all claims of a script, none of which changes it; and expired leases go back, `reaped` at most.
local facts

local function prepare(reaped)
  if facts then return end
  facts = redis.call('HMGET', K.run, 'epoch', 'state', 'unreported', 'total', 'open', 'generation',
    'refused', 'refused_fix', 'signal:provider')
  if facts[1] then reap_leases(reaped) end
end

-- Why nothing may be claimed, whatever is ready.
local function closed()
  local state, unreported, total, open = facts[2], facts[3], facts[4], facts[5]
  if state == 'finished' then return 'done' end
  if state ~= 'active' then return 'paused' end
  if tonumber(unreported or '0') > NOW then return 'paused' end
  if tonumber(total or '0') > 0 and tonumber(open) == 0 then return 'done' end
end

-- Lease the best task for a pod. An agent prefers its own pools and takes the best of all when they are empty.
-- A server process unlike the one that `open` saw may know an older state, so that its counter would repeat tokens:
-- nothing is claimed until the operator has raised the epoch.
local function claim(pod, ttl, reaped, server, likely)
  prepare(reaped)
  local epoch = facts[1]
  if not epoch or facts[6] ~= server then return {'EMPTY', 'paused'} end
  local index = register(pod, likely)
  if not index then return {'FULL'} end
  -- A pod works on one task. If it claims again, the answer to its last claim was lost or its worker restarted.
  local held = agent(index)[TASK]
  if held ~= '' then give_back(held) end
  local why = closed()
  if why then return empty(why) end
  -- While only the money kept for repairs is left, repairs are the only work.
  local repairs_only = facts[7]
  if facts[8] or (repairs_only and not best(REPAIRS)) then return empty('budget') end
  if facts[9] == '-' then return empty('provider') end
  local id
  if repairs_only then
    id = best(REPAIRS)
  else
    local own = tonumber(index) % #OWN_POOLS + 1
    id = best(OWN_POOLS[own]) or best(OTHER_POOLS[own])
  end
  if not id then return empty('no_work') end
  return lease(id, index, epoch, ttl)
end
