-- Hints for those who wait: a capped list, of which each waiting process takes one at a time.
local function wake(list)
  if redis.call('RPUSH', K[list], '1') > WAKE_LENGTH then redis.call('LTRIM', K[list], -WAKE_LENGTH, -1) end
end

local function wake_all()
  for _ = 1, WAKE_LENGTH do wake('wake') end
end
