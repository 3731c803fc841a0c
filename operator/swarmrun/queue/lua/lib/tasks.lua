-- What people see of a script, as one entry of the stream.
local noted = {}

local function note(verb, id, index) noted[#noted + 1] = verb .. '\t' .. (index or '') .. '\t' .. id end

local function save_events()
  if not noted[1] then return end
  redis.call('XADD', K.events, 'MAXLEN', '~', EVENTS_LENGTH, '*', 'e', table.concat(noted, '\n'))
end

local function pool_of(id) return K['ready:' .. POOLS[get(id, TYPE)]] end

-- Submissions of this script, which all happen at one time.
local arrivals = 0

-- The only place that changes a state. The sets (ready, leases, submitted) follow it here and nowhere else.
local function move(id, to)
  local from = get(id, STATE)
  if not among(LEGAL, tostring(from) .. '>' .. to) then
    error('illegal move of ' .. id .. ' from ' .. tostring(from) .. ' to ' .. to)
  end
  if from == 'ready' then
    redis.call('ZREM', pool_of(id), id)
  elseif from == 'leased' then
    redis.call('ZREM', K.leases, id)
    local a = agent(get(id, AGENT))
    if a and a[TASK] == id then a[TASK] = '' end
  elseif from == 'submitted' then
    redis.call('ZREM', K.submitted, id)
  end
  put(id, STATE, to)
  if to == 'ready' then
    drop(id, AGENT, CLAIMED, SUBMITTED)
    -- The most urgent has the lowest score; the type's rank decides among equals.
    redis.call('ZADD', pool_of(id), int(RANKS[get(id, TYPE)] - RANKS_APART * num(id, PRIORITY)), id)
    wake('wake')
  elseif to == 'submitted' then
    put(id, SUBMITTED, int(NOW))
    arrivals = arrivals + 1
    redis.call('ZADD', K.submitted, int(MICROS + arrivals), id)
    -- The merger waits only while there is nothing, so only the first is news.
    if redis.call('ZCARD', K.submitted) == 1 then wake('wake:merge') end
  elseif among(FINAL, to) then
    put(id, FINISHED, int(NOW))
    redis.call('HINCRBY', K.run, 'open', -1)
  end
  if among(KEEPS_CHANGES, from) and not among(KEEPS_CHANGES, to) then redis.call('HDEL', K.changes, id) end
end

-- Let those go on that waited for a task which has just become final.
local function free_dependents(id)
  for dependent in string.gmatch(redis.call('HGET', K.dependents, id) or '', '%S+') do
    local waits = num(dependent, WAITS) - 1
    put(dependent, WAITS, int(waits))
    if waits == 0 and get(dependent, STATE) == 'pending' then move(dependent, 'ready') end
  end
end

-- The token alone decides who holds a lease: one that expired stays its holder's until it is reaped.
local function holds(id, token) return get(id, STATE) == 'leased' and get(id, TOKEN) == token end

local function waits_for_merge(id, token) return get(id, STATE) == 'submitted' and get(id, TOKEN) == token end

-- Last thing that ended a claim or a submission, so that its repetition is answered DUP.
local function did(id, what, token) return get(id, DONE) == what .. ' ' .. token end

local function mark(id, what, token) put(id, DONE, what .. ' ' .. token) end

-- Put a claim or a submission back; nobody's work was judged.
local function give_back(id)
  note('returned', id, get(id, AGENT))
  move(id, 'ready')
end

local function reap_leases(limit)
  local expired = redis.call('ZRANGEBYSCORE', K.leases, '-inf', int(NOW), 'LIMIT', 0, limit)
  for _, id in ipairs(expired) do give_back(id) end
  return #expired
end

-- What git says has landed is completed, whatever a restored store believes. Unknown ids are nobody's.
local function has_landed(id, commit)
  local state = get(id, STATE)
  if not state or among(FINAL, state) then return end
  if state == 'fixing' then move(get(id, FIX), 'skipped') end
  if not among(LEGAL, state .. '>completed') then move(id, 'ready') end
  move(id, 'completed')
  put(id, COMMIT, commit)
  free_dependents(id)
end
