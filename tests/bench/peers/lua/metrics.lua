-- The counts of answer.lua for Prometheus.
local counts = ngx.shared.counts
local BOUNDS = { "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf" }

ngx.header.content_type = "text/plain; version=0.0.4"
ngx.say("# TYPE http_requests_total counter")
ngx.say('http_requests_total{endpoint="root",method="GET",code="200"} ', counts:get("requests") or 0)
ngx.say("# TYPE http_request_duration_seconds histogram")
local total = 0
for number, bound in ipairs(BOUNDS) do
	total = total + (counts:get(number) or 0)
	ngx.say('http_request_duration_seconds_bucket{endpoint="root",le="', bound, '"} ', total)
end
ngx.say('http_request_duration_seconds_sum{endpoint="root"} ', counts:get("sum") or 0)
ngx.say('http_request_duration_seconds_count{endpoint="root"} ', total)
