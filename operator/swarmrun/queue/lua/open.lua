-- ARGV: epoch, server run id, then nothing or what was spent before: money, input tokens, output tokens, tokens
-- of unknown calls, calls. Plant the generation and raise the fence. Only a rising epoch raises the sums, so that
-- a repetition counts nothing twice; what the ledger still holds or has counted is part of them.
local before = tonumber(run('epoch') or '0')
if tonumber(ARGV[1]) < before then return 0 end
redis.call('HSET', K.run, 'epoch', ARGV[1], 'generation', ARGV[2])
redis.call('HSETNX', K.run, 'state', 'paused')
-- Small hashes are lists that every read walks along; one long value makes this one, the busiest, a table.
redis.call('HSETNX', K.run, 'encoding', string.rep('-', 65))
-- From the second epoch on the branch may know more than this store: until when claims wait for its word.
if tonumber(ARGV[1]) > math.max(before, 1) then
  redis.call('HSET', K.run, 'unreported', int(NOW + LANDED_WAIT_MS))
end
if ARGV[3] and tonumber(ARGV[1]) > before then
  local function at_least(field, least)
    if ledger(field) < least then redis.call('HSET', K.ledger, field, int(least)) end
  end
  at_least('spent', tonumber(ARGV[3]) - ledger('reserved'))
  at_least('tokens_in', tonumber(ARGV[4]) - ledger('tokens_cached'))
  at_least('tokens_out', tonumber(ARGV[5]))
  at_least('tokens_unknown', tonumber(ARGV[6]))
  at_least('calls', tonumber(ARGV[7]))
end
return 1
