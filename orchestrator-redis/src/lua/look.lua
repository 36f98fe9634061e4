-- ARGV: the queues. Answers 0 if one of them has a ticket that can be received, else in how many milliseconds the next
-- comes out, or -1 if none will. Changes nothing.

local next_due
for at = 3, #ARGV do
  if redis.call('ZCARD', turns(ARGV[at])) > 0 then return '0' end
  local head = redis.call('ZRANGE', hidden(ARGV[at]), 0, 0, 'WITHSCORES')
  local due = tonumber(head[2])
  if due and due <= now then return '0' end
  if due and (not next_due or due < next_due) then next_due = due end
end
return next_due and text(next_due - now) or '-1'
