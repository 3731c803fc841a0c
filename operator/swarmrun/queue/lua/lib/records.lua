-- A task's record is one line: the fields of keys.RECORD, separated by tabs. Read once, written once per script.
local records, changed = {}, {}

local function record(id)
  local r = records[id]
  if r == nil then
    local line = redis.call('HGET', K.tasks, id)
    r = line and {string.match(line, RECORD)} or false
    records[id] = r
  end
  return r or nil
end

-- Value of a field; nil when the task is unknown or the field is empty.
local function get(id, field)
  local r = record(id)
  if not r or r[field] == '' then return nil end
  return r[field]
end

local function num(id, field) return tonumber(get(id, field) or '0') end

local function put(id, field, value)
  record(id)[field] = value
  changed[id] = true
end

local function drop(id, ...)
  for _, field in ipairs({...}) do put(id, field, '') end
end

local function create(id, kind, title, priority, body)
  redis.call('HSET', K.bodies, id, body)
  local r = {}
  for field = 1, TITLE do r[field] = '' end
  r[STATE], r[TYPE], r[PRIORITY], r[TITLE] = 'pending', kind, priority, title
  records[id], changed[id] = r, true
end

-- In portions: Lua's stack bounds the arguments of one command.
local function save_records()
  local portion = {}
  for id in pairs(changed) do
    portion[#portion + 1] = id
    portion[#portion + 1] = table.concat(records[id], '\t')
    if #portion == 1000 then
      redis.call('HSET', K.tasks, unpack(portion))
      portion = {}
    end
  end
  if portion[1] then redis.call('HSET', K.tasks, unpack(portion)) end
end
