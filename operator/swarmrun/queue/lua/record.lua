-- ARGV: key, field, value. Facts for the report; a closed run keeps none, so that nothing outlives it.
local targets = {run = K.run, signals = K.signals, documents = K.documents}
if not run('epoch') then return 0 end
local key = targets[ARGV[1]]
local before = command('HGET', key, ARGV[2])
command('HSET', key, ARGV[2], ARGV[3])
if ARGV[1] == 'signals' and before ~= ARGV[3] then wake_all() end
return 1
