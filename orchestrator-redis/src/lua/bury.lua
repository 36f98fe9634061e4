-- ARGV: the receipt, the reason, how many letters of its queue are kept, how many bytes of a ticket are, and 1 if it is buried
-- whatever its time, because it is at fault itself. Answers 1, or 0 if the receipt holds no more.

local number, reason, most, bytes, forced = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local t = read(number)
if not t or t.held ~= 1 then return 0 end
local due = redis.call('ZSCORE', hidden(t.queue), number)
if due and tonumber(due) <= now and not forced then return 0 end
-- All that can be refused is refused here.
redis.call('ZCARD', graves(t.queue))
redis.call('SCARD', DEAD)
redis.call('GET', NUMBER)
redis.call('ZREM', hidden(t.queue), number)
redis.call('HDEL', TICKETS, number)
if not due then return 0 end
bury(t, reason, t.ticket, most, bytes)
finish()
return 1
