-- The server's time in milliseconds; no other clock counts.
local clock = redis.call('TIME')
local MICROS = clock[1] * 1000000 + clock[2]
local NOW = math.floor(MICROS / 1000)
