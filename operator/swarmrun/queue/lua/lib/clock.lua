-- The server's time in milliseconds; no other clock counts.
local clock = command('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)
