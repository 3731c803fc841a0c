-- Shared by every script. scripts.py puts the constants in front: K (key by name), the lifecycle, the bounds.
-- A script validates everything, then writes: Lua never rolls back.

-- Whole numbers as text; Lua would write -0 and exponents.
local function int(number)
  if number == 0 then return '0' end
  return string.format('%.0f', number)
end

local function run(field) return redis.call('HGET', K.run, field) or nil end

-- Whether a list of words that begins and ends with a space has this one.
local function among(words, word) return string.find(words, ' ' .. word .. ' ', 1, true) ~= nil end
