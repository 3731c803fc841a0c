-- ARGV: pod, lease in milliseconds, the same in seconds, expired leases to return, then one line of task types
-- per specialization, in order of rank. An agent prefers its own types and takes the best of all when it has none.
local pod, ttl_ms, ttl = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local FIRST = 5

local function empty(reason)
  redis.call('DEL', K.wake)
  return {'EMPTY', reason}
end

local epoch = run('epoch')
if not epoch then return {'EMPTY', 'paused'} end
reap_leases(tonumber(ARGV[4]))
local index = register(pod)
if not index then return {'FULL'} end
-- A pod works on one task. If it claims again, the answer to its last claim was lost or its worker restarted.
local held = redis.call('HGET', K.agents, index .. ':task')
if held then give_back(held) end

local state = run('state')
if state == 'finished' then return empty('done') end
if state ~= 'active' then return empty('paused') end
if tonumber(run('unreported') or '0') > NOW then return empty('paused') end
if tonumber(run('total') or '0') > 0 and tonumber(run('open')) == 0 then return empty('done') end
local function best(types)
  local id, score
  for kind in string.gmatch(types, '%S+') do
    local head = redis.call('ZRANGE', K['ready:' .. kind], 0, 0, 'WITHSCORES')
    if head[1] then
      local other = tonumber(head[2])
      if not id or other < score then id, score = head[1], other end
    end
  end
  return id
end

-- While only the money kept for repairs is left, repairs are the only work.
local repairs_only = refusal(false) ~= nil
if refusal(true) or (repairs_only and not best('fix_bug')) then return empty('budget') end
local provider = redis.call('HGET', K.signals, 'provider')
if provider and string.sub(provider, 1, 1) == '-' then return empty('provider') end

local own = ARGV[FIRST + tonumber(index) % (#ARGV - FIRST + 1)]
local id
if repairs_only then id = best('fix_bug') else id = best(own) or best(ALL_TYPES) end
if not id then return empty('no_work') end

local agent = 'agent-' .. index
local token = epoch .. '-' .. redis.call('HINCRBY', K.run, 'counter', 1)
local attempt = tostring(num(id, 'failures') + 1)
move(id, 'leased')
redis.call('ZADD', K.leases, int(NOW + ttl_ms), id)
redis.call('HSET', K.agents, index .. ':task', id)
put(id, 'token', token)
put(id, 'agent', agent)
put(id, 'attempt', attempt)
put(id, 'ttl', ttl)
put(id, 'claimed', int(NOW))
note('claimed', id, agent)

local target = get(id, 'fix_of')
local below = target and redis.call('HGET', K.changes, target) or ''
local evidence = redis.call('HGET', K.evidence, id) or ''
return {'CLAIMED', id, token, agent, attempt, redis.call('HGET', K.bodies, id), evidence, below, get(id, 'hint') or ''}
