-- ARGV: epoch, then pairs of id and commit that are on the branch.
if run('epoch') ~= ARGV[1] or tonumber(run('total') or '0') == 0 then return 'STALE' end
if not run('unreported') then return 'DUP' end
for at = 2, #ARGV, 2 do has_landed(ARGV[at], ARGV[at + 1]) end
redis.call('HDEL', K.run, 'unreported')
wake_all()
return 'OK'
