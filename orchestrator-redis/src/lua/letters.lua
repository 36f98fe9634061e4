-- ARGV: 'newest' or 'oldest' for which comes first, the number after which it goes on or '', how many at most, and the queue, or ''
-- for all. Answers a list: for each letter its number, queue, project, priority, count, moment, reason and text.

local newest, after, max, only = ARGV[3] == 'newest', ARGV[4], tonumber(ARGV[5]), ARGV[6]
local queues = only ~= '' and { only } or redis.call('SMEMBERS', DEAD)

-- The next letter of a queue behind a number.
local function behind(queue, number)
  local from = number ~= '' and '(' .. number or (newest and '+inf' or '-inf')
  local way, to = 'ZRANGEBYSCORE', '+inf'
  if newest then way, to = 'ZREVRANGEBYSCORE', '-inf' end
  local found = redis.call(way, graves(queue), from, to, 'WITHSCORES', 'LIMIT', 0, 1)
  return found[1] and { queue = queue, packed = found[1], number = tonumber(found[2]) }
end

local heads, answer, given = {}, {}, 0
for _, queue in ipairs(queues) do heads[#heads + 1] = behind(queue, after) or nil end
while given < max and #heads > 0 do
  local at = 1
  for other = 2, #heads do
    local is_before = heads[other].number < heads[at].number
    if newest then is_before = heads[other].number > heads[at].number end
    if is_before then at = other end
  end
  local head = heads[at]
  local letter = unbury(head.packed)
  if letter then
    given = given + 1
    answer[#answer + 1] = text(head.number)
    answer[#answer + 1] = head.queue
    for _, part in ipairs(letter) do answer[#answer + 1] = part end
  end
  local following = behind(head.queue, text(head.number))
  if following then heads[at] = following else table.remove(heads, at) end
end
return answer
