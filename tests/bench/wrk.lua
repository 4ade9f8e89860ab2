-- What wrk measured, as one JSON object on the last line.
done = function(summary, latency)
	local errors = summary.errors
	io.write(string.format(
		'{"requests": %d, "seconds": %f, "bytes": %d, "connect": %d, "read": %d, "write": %d, ' ..
		'"timeout": %d, "status": %d, "p50_ms": %f, "p99_ms": %f, "p999_ms": %f}\n',
		summary.requests, summary.duration / 1e6, summary.bytes, errors.connect, errors.read, errors.write,
		errors.timeout, errors.status, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
		latency:percentile(99.9) / 1e3))
end
