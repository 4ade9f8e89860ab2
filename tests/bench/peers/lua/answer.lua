-- Answers, and counts in the shared dictionary: a counter, and a histogram with the
-- buckets of the other peers.
local counts = ngx.shared.counts
local BOUNDS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 }

ngx.header.content_type = "application/json"
ngx.header.content_length = 22
ngx.print('{"msg": "Hello World"}')

local seconds = ngx.now() - ngx.req.start_time()
local bound = 1
while BOUNDS[bound] and seconds > BOUNDS[bound] do
	bound = bound + 1
end
counts:incr("requests", 1, 0)
counts:incr(bound, 1, 0)
counts:incr("sum", seconds, 0)
