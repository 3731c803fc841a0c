-- ARGV: key, field, value. Facts for the report; a closed run keeps none, so that nothing outlives it.
local targets = {run = K.run, signals = K.signals, documents = K.documents}
if not run('epoch') then return 0 end
local key = targets[ARGV[1]]
local before = redis.call('HGET', key, ARGV[2])
redis.call('HSET', key, ARGV[2], ARGV[3])
if ARGV[1] == 'signals' then
  -- The sign in front says whether all is well; claims read it without the rest.
  redis.call('HSET', K.run, 'signal:' .. ARGV[2], string.sub(ARGV[3], 1, 1))
  if before ~= ARGV[3] then wake_all() end
end
return 1
