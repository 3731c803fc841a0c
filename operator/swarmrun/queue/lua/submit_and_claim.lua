-- ARGV: id, token, change set, its digest, pod, lease in seconds, expired leases to return, run id of this server.
-- Whatever the first answer is, the pod is free for the next task.
local likely = get(ARGV[1], AGENT)
local reply = submit(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return {reply, claim(ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], likely)}
