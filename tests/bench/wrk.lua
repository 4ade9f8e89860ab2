-- With the arguments FAST SLOW SHARE: ask for these two paths, and for SLOW this
-- share of the time. Without, ask for the path of the URL.
function init(args)
	local fast, slow, share = args[1], args[2], tonumber(args[3])
	if not share then
		return
	end
	local requests = { [false] = wrk.format("GET", fast), [true] = wrk.format("GET", slow) }
	math.randomseed(tonumber(tostring(wrk.thread):match("0x(%x+)"), 16) % 100000)
	request = function()
		return requests[math.random() < share]
	end
end

-- What wrk measured, as one JSON object on the last line.
done = function(summary, latency)
	local errors = summary.errors
	io.write(string.format(
		'{"requests": %d, "seconds": %f, "bytes": %d, "connect": %d, "read": %d, "write": %d, ' ..
		'"timeout": %d, "status": %d, "p50_ms": %f, "p90_ms": %f, "p99_ms": %f, "p999_ms": %f}\n',
		summary.requests, summary.duration / 1e6, summary.bytes, errors.connect, errors.read, errors.write,
		errors.timeout, errors.status, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
		latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
