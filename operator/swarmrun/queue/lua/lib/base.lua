-- The libraries are a heap of top-level blocks, parted by blank lines. scripts.py puts those that a script reaches
-- in front of it, and before them the constants: keys by name (K), the lifecycle, the bounds. What a script does not
-- reach would be built anew at every call for nothing.
-- A script validates everything, then writes: Lua never rolls back.

-- Whole numbers as text; Lua would write exponents.
local function int(number) return string.format('%d', number) end

local function run(field) return redis.call('HGET', K.run, field) or nil end

-- Whether a list of words that begins and ends with a space has this one.
local function among(words, word) return string.find(words, ' ' .. word .. ' ', 1, true) ~= nil end
