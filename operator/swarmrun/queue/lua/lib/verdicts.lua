-- Add evidence to a task; `counts` is '1' when it spends an attempt. Newest EVIDENCE_LENGTH are kept.
local function strike(id, failure, counts)
  local lines = {}
  for line in string.gmatch(redis.call('HGET', K.evidence, id) or '', '[^\n]+') do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = failure
  local first = math.max(1, #lines - EVIDENCE_LENGTH + 1)
  redis.call('HSET', K.evidence, id, table.concat(lines, '\n', first))
  put(id, EVIDENCE, '1')
  if counts == '1' then put(id, FAILURES, int(num(id, FAILURES) + 1)) end
end

-- Whether a person must look: no attempt is left, or the top of the ladder has failed just as the try before it.
local function exhausted(id, fingerprint)
  local facts = redis.call('HMGET', K.run, 'max_attempts', 'rungs')
  local failures = num(id, FAILURES)
  if failures >= tonumber(facts[1] or '1') then return true end
  return failures >= tonumber(facts[2] or '1') and get(id, FINGERPRINT) == fingerprint
end

-- A judged failure of a claim or a submission: evidence, then `again` (a state), or a person's turn.
-- A repair's failure is one of its target, too, whose change set stays where it is.
local function judge(id, failure, counts, fingerprint, again)
  local index, target = get(id, AGENT), get(id, FIX_OF)
  strike(id, failure, counts)
  if target then strike(target, failure, counts) end
  if counts == '1' then count(index, FAILED) end
  local owner = target or id
  local stop = counts == '1' and exhausted(owner, fingerprint)
  if counts == '1' then put(owner, FINGERPRINT, fingerprint) end
  if stop then
    note('blocked', owner, index)
    if target then move(id, 'skipped') end
    move(owner, 'blocked')
    return 'blocked'
  end
  note(again == 'fixing' and 'fixing' or 'failed', id, index)
  move(id, again)
  return again
end
