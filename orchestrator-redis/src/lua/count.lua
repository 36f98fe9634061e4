-- ARGV: the queues. Answers a list: for each of them how many tickets can be received, how many are hidden, and how many dead
-- letters there are. Changes nothing.

local answer = {}
for at = 3, #ARGV do
  local queue = ARGV[at]
  local ready = redis.call('ZCOUNT', hidden(queue), '-inf', text(now))
  for _, project in ipairs(redis.call('ZRANGE', turns(queue), 0, -1)) do
    ready = ready + redis.call('ZCARD', line(queue, project))
  end
  answer[#answer + 1] = ready
  answer[#answer + 1] = redis.call('ZCOUNT', hidden(queue), '(' .. text(now), '+inf')
  answer[#answer + 1] = redis.call('ZCARD', graves(queue))
end
return answer
