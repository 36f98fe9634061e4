-- ARGV: a letter's number and queue, and what becomes of it: 'look', 'publish' or 'drop'. Answers a list: nothing if there is no
-- such letter, else what is on it.

local number, queue, how = ARGV[3], ARGV[4], ARGV[5]
local packed = redis.call('ZRANGEBYSCORE', graves(queue), number, number)[1]
if not packed then return {} end
local letter = unbury(packed)
if how == 'look' then return { letter and letter[6] or '' } end
if how == 'publish' and not letter then return {} end
-- All that can be refused is refused here.
redis.call('HLEN', TICKETS)
redis.call('HLEN', FOLDS)
redis.call('HLEN', PROJECTS)
redis.call('GET', NUMBER)
redis.call('ZCARD', QUEUES)
redis.call('ZCARD', turns(queue))
redis.call('SCARD', DEAD)
if letter then redis.call('ZCARD', line(queue, letter[1])) end
redis.call('ZREM', graves(queue), packed)
if redis.call('ZCARD', graves(queue)) == 0 then redis.call('SREM', DEAD, queue) end
if how == 'publish' then
  local project, priority, ticket = letter[1], letter[2], letter[6]
  stand(draw(), { queue = queue, project = project, priority = priority, count = 0, held = 0, ticket = ticket }, now)
  rung[queue] = true
end
finish()
return { '' }
