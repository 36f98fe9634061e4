-- ARGV: how many at most, for how long they are hidden in milliseconds, how many that have come out are put in line by one
-- call, how many dead letters of a queue are kept and how many bytes of a ticket, the queues. Answers a list: '0', and for each ticket its number, queue, project, priority, count, and what is
-- on it; or '1' if there is more to be put in line first: ask again.

local max, visibility, step = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most, bytes = tonumber(ARGV[6]), tonumber(ARGV[7])
local queues, seen = {}, {}
for at = 8, #ARGV do
  if not seen[ARGV[at]] then
    seen[ARGV[at]] = true
    queues[#queues + 1] = ARGV[at]
  end
end

-- What is kept under a number and cannot be read as a ticket becomes a dead letter, as it is.
local function bury_garbage(number, queue, project)
  local garbage = most > 0 and redis.call('HGET', TICKETS, number)
  redis.call('HDEL', TICKETS, number)
  if garbage then
    local t = { queue = queue, project = project, priority = 0, count = 0 }
    bury(t, 'what is kept of it cannot be read', garbage, most, bytes)
  end
end

-- Puts in line what has come out of a queue. Taking a member out comes first wherever something is written: where there is
-- no memory left, that alone may be done.
local left = step
local function let_out(queue)
  local due = redis.call('ZRANGEBYSCORE', hidden(queue), '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, left)
  for at = 1, #due, 2 do
    local number = due[at]
    redis.call('ZREM', hidden(queue), number)
    local t = read(number)
    if not t then bury_garbage(number, queue, '') end
    redis.call('HDEL', TICKETS, number)
    if t and t.queue == queue then
      t.held = 0
      stand(number, t, tonumber(due[at + 1]))
    end
  end
  left = left - #due / 2
  if left <= 0 then return end
  redis.call('ZREM', QUEUES, queue)
  local head = redis.call('ZRANGE', hidden(queue), 0, 0, 'WITHSCORES')
  if head[2] then redis.call('ZADD', QUEUES, head[2], queue) end
end

-- In all queues, also those that were not asked for: since when a project waits has to be known when others are given
-- tickets. First those asked for, should it be lost when something comes out there.
local waking = redis.call('ZRANGEBYSCORE', QUEUES, '-inf', text(now), 'LIMIT', 0, step)
for _, queue in ipairs(queues) do
  if left > 0 then let_out(queue) end
end
for _, queue in ipairs(waking) do
  -- A key of another kind is told to whoever asks for that queue, and to nobody else.
  if left > 0 and not seen[queue] and not pcall(let_out, queue) then redis.call('ZREM', QUEUES, queue) end
end
if left <= 0 or #waking == step then
  finish()
  return { '1' }
end

-- The project of a queue whose turn comes first, and its turn. What is written there may be out of date: a project may have
-- been given a ticket of another queue.
local function first(queue)
  while true do
    local head = redis.call('ZRANGE', turns(queue), 0, 0, 'WITHSCORES')
    local project, known = head[1], tonumber(head[2])
    if not project then return nil end
    local turn = standing(project) or known
    if redis.call('ZCARD', line(queue, project)) == 0 then
      clear(queue, project)
    elseif turn > known then
      redis.call('ZADD', turns(queue), text(turn), project)
    else
      return project, turn
    end
  end
end

-- For each queue, the project whose turn it is there; asked anew where that may have changed.
local heads = {}
local function whose_turn()
  local best, earliest
  for _, queue in ipairs(queues) do
    if heads[queue] == nil then
      local project, turn = first(queue)
      heads[queue] = project and { project, turn } or false
    end
    local head = heads[queue]
    if head and (not earliest or head[2] < earliest) then best, earliest = head[1], head[2] end
  end
  return best
end

-- The first ticket of a project in all lines that were asked for, and the queue that it is in.
local function foremost(project)
  local number, from, place
  for _, queue in ipairs(queues) do
    local head = redis.call('ZRANGE', line(queue, project), 0, 0, 'WITHSCORES')
    local at = tonumber(head[2])
    if at and (not place or at < place or (at == place and head[1] < number)) then
      number, from, place = head[1], queue, at
    end
  end
  return number, from
end

local function give(number, queue, project)
  local t = read(number)
  leave(number, queue, project)
  if not t then bury_garbage(number, queue, project) end
  redis.call('HDEL', TICKETS, number)
  if not t then return nil end
  local like = fold(t)
  if redis.call('HGET', FOLDS, like) == number then redis.call('HDEL', FOLDS, like) end
  local receipt = draw()
  t.count = math.min(t.count + 1, 4294967295)
  t.held = 1
  keep(receipt, t)
  hide(receipt, queue, now + visibility)
  local _, lines = standing(project)
  -- What was known of the project may be lost; then it stands in this line at least.
  if redis.call('ZSCORE', turns(queue), project) then lines = math.max(lines, 1) end
  stands(project, tonumber(receipt), lines)
  return receipt, t
end

local answer, given = { '0' }, 0
while given < max do
  local project = whose_turn()
  if not project then break end
  local number, queue = foremost(project)
  for _, other in ipairs(queues) do
    local head = heads[other]
    if head and head[1] == project then heads[other] = nil end
  end
  if number then
    local receipt, t = give(number, queue, project)
    if receipt then
      given = given + 1
      for _, part in ipairs({ receipt, t.queue, t.project, t.priority, text(t.count), t.ticket }) do
        answer[#answer + 1] = part
      end
    else
      -- It was lost. So may be many; nobody is kept waiting for them.
      left = left - 1
      if left <= 0 then break end
    end
  end
end
finish()
return answer
