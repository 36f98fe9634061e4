-- ARGV: how many tickets there may be; then for each ticket its queue, project, priority, how long it is hidden in
-- milliseconds, and what is on it. Answers 1, or 0 if there is no room.

local capacity = tonumber(ARGV[3])
local size, first = 5, 4
-- All that can be refused is refused here, before anything is written: a script that fails is not undone.
if redis.call('HLEN', TICKETS) + (#ARGV - first + 1) / size > capacity then return 0 end
redis.call('HLEN', FOLDS)
redis.call('HLEN', PROJECTS)
redis.call('GET', NUMBER)
redis.call('ZCARD', QUEUES)
for at = first, #ARGV, size do
  redis.call('ZCARD', hidden(ARGV[at]))
  redis.call('ZCARD', turns(ARGV[at]))
  redis.call('ZCARD', line(ARGV[at], ARGV[at + 1]))
end

for at = first, #ARGV, size do
  local queue, project, priority, after, ticket = unpack(ARGV, at, at + size - 1)
  local new = { queue = queue, project = project, priority = priority, count = 0, held = 0, ticket = ticket }
  stand(draw(), new, now + tonumber(after))
  -- Also for later: who waits has to know until when.
  rung[queue] = true
end
finish()
return 1
