-- An agent's line: pod, last seen, task, completed, failed; and "pod:<name>" gives the index.
local POD, SEEN, TASK, COMPLETED, FAILED = 1, 2, 3, 4, 5
local agents = {}

local function agent(index)
  local a = agents[index]
  if a == nil then
    local line = command('HGET', K.agents, index)
    a = line and {string.match(line, '^([^\t]*)\t(%d+)\t([^\t]*)\t(%d+)\t(%d+)$')} or false
    agents[index] = a
  end
  return a or nil
end

local function index_of(name) return string.match(name or '', '^agent%-(%d+)$') end

local function named(name)
  local index = index_of(name)
  return index and agent(index)
end

local function seen(name)
  local a = named(name)
  if a then a[SEEN] = int(NOW) end
end

local function count(name, counter)
  local a = named(name)
  if a then a[counter] = int(a[counter] + 1) end
end

-- Index of a pod: its own, else the lowest that is free or whose holder is gone; nil when all are taken. `likely` is
-- looked at first.
local function register(pod, likely)
  local a = likely and agent(likely)
  local index = a and a[POD] == pod and likely or command('HGET', K.agents, 'pod:' .. pod)
  if not index then
    for i = 0, MAX_AGENTS - 1 do
      local holder = agent(tostring(i))
      if not holder or tonumber(holder[SEEN]) < NOW - AGENT_GONE_MS then
        index = tostring(i)
        if holder then
          command('HDEL', K.agents, 'pod:' .. holder[POD])
          holder[POD] = pod
        else
          agents[index] = {pod, '0', '', '0', '0'}
        end
        break
      end
    end
    if not index then return nil end
    command('HSET', K.agents, 'pod:' .. pod, index)
  end
  agent(index)[SEEN] = int(NOW)
  return index
end

local function save_agents()
  for index, a in pairs(agents) do
    if a then command('HSET', K.agents, index, table.concat(a, '\t')) end
  end
end
