-- ARGV: key, field, value. Facts for the report; a closed run keeps none, so that nothing outlives it.
if not run('epoch') then return 0 end
local before = redis.call('HGET', K[ARGV[1]], ARGV[2])
redis.call('HSET', K[ARGV[1]], ARGV[2], ARGV[3])
if ARGV[1] == 'signals' and before ~= ARGV[3] then
  for _ = 1, WAKE_LENGTH do wake('wake') end
end
return 1
