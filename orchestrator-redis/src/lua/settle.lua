-- ARGV: the receipt, then -1 if the ticket is done, or after how many milliseconds it can be received again. Answers 1, or
-- 0 if the receipt holds no more.

local number, after = ARGV[3], tonumber(ARGV[4])
local t = read(number)
if not t or t.held ~= 1 then return 0 end
local due = redis.call('ZSCORE', hidden(t.queue), number)
-- Out of sight is not out of date: its time is over also while nobody has put it in line again.
if due and tonumber(due) <= now then return 0 end
redis.call('ZREM', hidden(t.queue), number)
redis.call('HDEL', TICKETS, number)
-- When it would have come again is lost: then so is the ticket.
if not due then return 0 end
if after >= 0 then
  t.held = 0
  stand(draw(), t, now + after)
  rung[t.queue] = true
end
finish()
return 1
