-- ARGV: plan hash, max attempts, rungs, number of tasks, then per task id, type, title, priority, body, dependencies
-- separated by spaces; then pairs of id and commit that are on the branch already.
local FIELDS, FIRST = 6, 5
local n = tonumber(ARGV[4])
local new, batch = {}, {}
for i = 0, n - 1 do
  local at = FIRST + i * FIELDS
  local id = ARGV[at]
  batch[id] = true
  if not record(id) then new[#new + 1] = at end
end
for _, at in ipairs(new) do
  for dependency in string.gmatch(ARGV[at + 5], '%S+') do
    if not batch[dependency] and not record(dependency) then
      return {'UNKNOWN', ARGV[at], dependency}
    end
  end
end

redis.call('HSET', K.run, 'plan_hash', ARGV[1], 'max_attempts', ARGV[2], 'rungs', ARGV[3])
redis.call('HINCRBY', K.run, 'total', #new)
redis.call('HINCRBY', K.run, 'open', #new)
for _, at in ipairs(new) do create(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]) end
local waiting = {}
for _, at in ipairs(new) do
  local id, waits = ARGV[at], 0
  for dependency in string.gmatch(ARGV[at + 5], '%S+') do
    if not among(FINAL, get(dependency, STATE)) then
      waits = waits + 1
      local others = waiting[dependency] or {redis.call('HGET', K.dependents, dependency) or nil}
      others[#others + 1] = id
      waiting[dependency] = others
    end
  end
  put(id, WAITS, int(waits))
end
for dependency, others in pairs(waiting) do
  redis.call('HSET', K.dependents, dependency, table.concat(others, ' '))
end

for at = FIRST + n * FIELDS, #ARGV, 2 do has_landed(ARGV[at], ARGV[at + 1]) end
for _, at in ipairs(new) do
  local id = ARGV[at]
  if get(id, STATE) == 'pending' and num(id, WAITS) == 0 then move(id, 'ready') end
end
return {'OK', #new}
