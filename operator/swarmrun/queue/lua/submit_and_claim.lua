-- ARGV: id, token, change set, pod, lease in seconds, expired leases to return, run id of this server. Whatever the
-- first answer is, the pod is free for the next task.
local likely = index_of(get(ARGV[1], AGENT))
local reply = submit(ARGV[1], ARGV[2], ARGV[3])
return {reply, claim(ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], likely)}
