-- What the scripts have in common. A script is one step for everybody else, and Redis's own clock is the only one.
--
-- A ticket is kept under the number of its last arrival in line, which is also the receipt while somebody has it. Numbers
-- only grow, by the microseconds of the clock at least, so that none is used twice even if Redis has forgotten the last.
--
--   PREFIX:tickets                a hash: by number, the ticket, packed
--   PREFIX:folds                  a hash: by what makes tickets equal, the number of the one that waits
--   PREFIX:projects               a hash: by project, its turn and in how many lines it stands
--   PREFIX:number                 the last number
--   PREFIX:queues                 a sorted set: queues by the millisecond before which nothing comes out there
--   PREFIX:hidden:QUEUE           a sorted set: numbers by the millisecond at which they come out
--   PREFIX:ready:QUEUE:PROJECT    a line, a sorted set: numbers by their place
--   PREFIX:turns:QUEUE            a sorted set: the projects with a line, by a turn that theirs is at least
--   PREFIX:dead:QUEUE             a sorted set: dead letters, packed, by their numbers
--   PREFIX:dead                   a set: the queues that have dead letters
--
-- Any key may be gone at any moment, evicted or flushed: what is named elsewhere and not there is passed over, and cleared.

local TICKETS, FOLDS, PROJECTS, NUMBER, QUEUES, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local PREFIX, AGEING = ARGV[1], tonumber(ARGV[2])
-- Below this every whole number is exact, as a number of Lua and as a score.
local EXACT = 9e15

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text(whole)
  return string.format('%.0f', whole)
end

local last
-- The next number: of 16 digits until the year 2286, so that their order as texts is theirs.
local function draw()
  if not last then
    last = tonumber(redis.call('GET', NUMBER) or '0') or 0
    if last > EXACT then last = 0 end
    last = math.max(last, time[1] * 1000000 + time[2])
  end
  last = last + 1
  return string.format('%016.0f', last)
end

local rung = {}
-- Writes down what was drawn, and tells who waits. Who may not use the channel is not refused: those who wait look now and then.
local function finish()
  if last then redis.call('SET', NUMBER, text(last)) end
  for queue in pairs(rung) do redis.pcall('PUBLISH', PREFIX .. ':bell', queue) end
end

local function hidden(queue) return PREFIX .. ':hidden:' .. queue end
local function turns(queue) return PREFIX .. ':turns:' .. queue end
local function line(queue, project) return PREFIX .. ':ready:' .. queue .. ':' .. project end
local function graves(queue) return PREFIX .. ':dead:' .. queue end

-- Keeps a ticket as a dead letter, with as many bytes of what is on it, and no more of its queue than that.
local function bury(t, reason, ticket, most, bytes)
  local letter = { t.project, text(tonumber(t.priority)), text(t.count), text(now), reason, string.sub(ticket, 1, bytes) }
  local number = draw()
  redis.call('ZADD', graves(t.queue), number, cmsgpack.pack({ number, letter }))
  redis.call('SADD', DEAD, t.queue)
  redis.call('ZREMRANGEBYRANK', graves(t.queue), 0, -(most + 1))
end

-- The parts of a letter: its project, priority, count, moment, reason and text. Nil if it cannot be read.
local function unbury(packed)
  local whole, kept = pcall(cmsgpack.unpack, packed)
  local letter = whole and type(kept) == 'table' and kept[2]
  if type(letter) ~= 'table' or #letter ~= 6 then return nil end
  for _, part in ipairs(letter) do
    if type(part) ~= 'string' then return nil end
  end
  return letter
end

-- The ticket of a number, unless it is gone or cannot be read.
local function read(number)
  local packed = redis.call('HGET', TICKETS, number)
  if not packed then return nil end
  local whole, kept = pcall(cmsgpack.unpack, packed)
  if not whole or type(kept) ~= 'table' then return nil end
  local queue, project, priority = kept[1], kept[2], kept[3]
  local count, held, ticket = kept[4], kept[5], kept[6]
  local fits = type(queue) == 'string' and type(project) == 'string' and tonumber(priority)
    and type(count) == 'number' and type(held) == 'number' and type(ticket) == 'string'
  if not fits then return nil end
  return { queue = queue, project = project, priority = priority, count = count, held = held, ticket = ticket }
end

local function keep(number, t)
  redis.call('HSET', TICKETS, number, cmsgpack.pack({ t.queue, t.project, t.priority, t.count, t.held, t.ticket }))
end

-- How much further ahead than it came a ticket stands.
local function ahead(t) return tonumber(t.priority) * AGEING end

local function fold(t)
  return t.queue .. '\0' .. t.project .. '\0' .. t.priority .. '\0' .. t.ticket
end

-- The turn of a project, and in how many lines it stands.
local function standing(project)
  local turn, lines = string.match(redis.call('HGET', PROJECTS, project) or '', '^(%d+) (%d+)$')
  return tonumber(turn), tonumber(lines) or 0
end

local function stands(project, turn, lines)
  if lines > 0 then
    redis.call('HSET', PROJECTS, project, text(turn) .. ' ' .. text(lines))
  else
    redis.call('HDEL', PROJECTS, project)
  end
end

-- Puts a ticket in line, and its project in turn if it has not been: as if it had been given one just now, so that who
-- waits already is before it, and who is given one from here on is behind it.
local function enter(number, t, due)
  redis.call('ZADD', line(t.queue, t.project), text(due - ahead(t)), number)
  if not redis.call('ZSCORE', turns(t.queue), t.project) then
    local turn, lines = standing(t.project)
    turn = turn or tonumber(draw())
    stands(t.project, turn, lines + 1)
    redis.call('ZADD', turns(t.queue), text(turn), t.project)
  end
end

-- A project has no ticket in a line any more.
local function clear(queue, project)
  if redis.call('ZREM', turns(queue), project) == 1 then
    local turn, lines = standing(project)
    if turn then stands(project, turn, lines - 1) end
  end
end

local function leave(number, queue, project)
  redis.call('ZREM', line(queue, project), number)
  if redis.call('ZCARD', line(queue, project)) == 0 then clear(queue, project) end
end

-- When a ticket that waits came out, or will; nil if it does not wait.
local function due_of(number, t)
  local score = redis.call('ZSCORE', hidden(t.queue), number)
  if score then return tonumber(score) end
  score = redis.call('ZSCORE', line(t.queue, t.project), number)
  return score and tonumber(score) + ahead(t)
end

-- Hides a ticket until then.
local function hide(number, queue, due)
  redis.call('ZADD', hidden(queue), text(due), number)
  local next_due = redis.call('ZSCORE', QUEUES, queue)
  if not next_due or due < tonumber(next_due) then redis.call('ZADD', QUEUES, text(due), queue) end
end

-- Has a ticket wait for its time, or stand in line since then. One like another that waits is folded into it: one of the
-- two stays, in the better place, with the larger count.
local function stand(number, t, due)
  local like = fold(t)
  local other = redis.call('HGET', FOLDS, like)
  local twin = other and other ~= number and read(other)
  local since = twin and twin.held == 0 and due_of(other, twin)
  if since and since <= due then
    if t.count > twin.count then
      twin.count = t.count
      keep(other, twin)
    end
    return
  end
  if since then
    t.count = math.max(t.count, twin.count)
    redis.call('ZREM', hidden(t.queue), other)
    leave(other, t.queue, t.project)
    redis.call('HDEL', TICKETS, other)
  end
  keep(number, t)
  redis.call('HSET', FOLDS, like, number)
  if due <= now then
    enter(number, t, due)
  else
    hide(number, t.queue, due)
  end
end
