-- An agent's line: pod, last seen, task, completed, failed; and "pod:<name>" gives the index.
local POD, SEEN, TASK, COMPLETED, FAILED = 1, 2, 3, 4, 5
local agents = {}

local function agent(index)
  local a = agents[index]
  if a == nil then
    local line = redis.call('HGET', K.agents, index)
    a = line and {string.match(line, '^([^\t]*)\t(%d+)\t([^\t]*)\t(%d+)\t(%d+)$')} or false
    agents[index] = a
  end
  return a or nil
end

local function seen(index)
  local a = index and agent(index)
  if a then a[SEEN] = int(NOW) end
end

local function count(index, counter)
  local a = index and agent(index)
  if a then a[counter] = int(a[counter] + 1) end
end

-- The lowest index whose holder is gone, else the next new one; nil when all are taken. `gone_from` is a time before
-- which nobody can be gone: agents are only ever seen later, so most pods need no search.
local function vacancy()
  local facts = redis.call('HMGET', K.agents, 'count', 'gone_from')
  local n, gone_from = tonumber(facts[1] or '0'), tonumber(facts[2] or '0')
  if NOW >= gone_from then
    gone_from = NOW + AGENT_GONE_MS
    for i = 0, n - 1 do
      local holder = agent(tostring(i))
      local gone = tonumber(holder[SEEN]) + AGENT_GONE_MS
      if gone < NOW then
        redis.call('HDEL', K.agents, 'pod:' .. holder[POD])
        return tostring(i)
      end
      gone_from = math.min(gone_from, gone)
    end
    redis.call('HSET', K.agents, 'gone_from', int(gone_from))
  end
  if n >= MAX_AGENTS then return nil end
  redis.call('HSET', K.agents, 'count', int(n + 1))
  agents[tostring(n)] = {'', '0', '', '0', '0'}
  return tostring(n)
end

-- Index of a pod: its own, else a vacancy. `likely` is looked at first.
local function register(pod, likely)
  local a = likely and agent(likely)
  local index = a and a[POD] == pod and likely or redis.call('HGET', K.agents, 'pod:' .. pod)
  if not index then
    index = vacancy()
    if not index then return nil end
    redis.call('HSET', K.agents, 'pod:' .. pod, index)
    agent(index)[POD] = pod
  end
  agent(index)[SEEN] = int(NOW)
  return index
end

local function save_agents()
  for index, a in pairs(agents) do
    if a then redis.call('HSET', K.agents, index, table.concat(a, '\t')) end
  end
end
