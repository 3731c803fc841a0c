-- ARGV: epoch, server run id. Plant the generation and raise the fence.
if tonumber(ARGV[1]) < tonumber(run('epoch') or '0') then return 0 end
redis.call('HSET', K.run, 'epoch', ARGV[1], 'generation', ARGV[2])
redis.call('HSETNX', K.run, 'state', 'paused')
return 1
