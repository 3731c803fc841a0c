-- ARGV: limit. Oldest first; each as one row, the target's row behind a repair's.
local function row(id)
  local r = record(id)
  return {
    id, r[TOKEN], r[AGENT], r[ATTEMPT], r[TTL], r[SUBMITTED],
    redis.call('HGET', K.bodies, id), redis.call('HGET', K.changes, id),
  }
end

local found = {}
for _, id in ipairs(redis.call('ZRANGE', K.submitted, 0, tonumber(ARGV[1]) - 1)) do
  local target = get(id, FIX_OF)
  found[#found + 1] = {row(id), target and row(target) or false}
end
if #found == 0 then redis.call('DEL', K['wake:merge']) end
return found
