-- Add evidence to a task; `counts` is '1' when it spends an attempt. Newest EVIDENCE_LENGTH are kept.
local function strike(id, failure, counts)
  local lines = {}
  for line in string.gmatch(command('HGET', K.evidence, id) or '', '[^\n]+') do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = failure
  local first = math.max(1, #lines - EVIDENCE_LENGTH + 1)
  command('HSET', K.evidence, id, table.concat(lines, '\n', first))
  put(id, EVIDENCE, '1')
  if counts == '1' then put(id, FAILURES, int(num(id, FAILURES) + 1)) end
end

local function exhausted(id) return num(id, FAILURES) >= tonumber(run('max_attempts') or '1') end

-- A judged failure of a claim or a submission: evidence, then `again` (a state), or a person's turn.
-- A repair's failure is one of its target, too, whose change set stays where it is.
local function judge(id, failure, counts, again)
  local name, target = get(id, AGENT), get(id, FIX_OF)
  strike(id, failure, counts)
  if target then strike(target, failure, counts) end
  if counts == '1' then count(name, FAILED) end
  local owner = target or id
  if counts == '1' and exhausted(owner) then
    note('blocked', owner, name)
    if target then move(id, 'skipped') end
    move(owner, 'blocked')
    return 'blocked'
  end
  note(again == 'fixing' and 'fixing' or 'failed', id, name)
  move(id, again)
  return again
end
