<?php
// Answers, and counts in the shared memory of APCu: a counter, and a histogram with
// the buckets of the other peers. /metrics shows the counts.

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

function show(): void
{
	header('Content-Type: text/plain; version=0.0.4');
	echo "# TYPE http_requests_total counter\n";
	echo 'http_requests_total{endpoint="root",method="GET",code="200"} ', (int)apcu_fetch('requests'), "\n";
	echo "# TYPE http_request_duration_seconds histogram\n";
	$total = 0;
	foreach ([...BOUNDS, '+Inf'] as $number => $bound) {
		$total += (int)apcu_fetch("bucket$number");
		echo "http_request_duration_seconds_bucket{endpoint=\"root\",le=\"$bound\"} $total\n";
	}
	echo 'http_request_duration_seconds_sum{endpoint="root"} ', apcu_fetch('microseconds') / 1e6, "\n";
	echo "http_request_duration_seconds_count{endpoint=\"root\"} $total\n";
}

if ($_SERVER['SCRIPT_NAME'] === '/metrics') {
	show();
	return;
}
header('Content-Type: application/json');
header('Content-Length: 22');
echo '{"msg": "Hello World"}';

$seconds = microtime(true) - $_SERVER['REQUEST_TIME_FLOAT'];
$number = 0;
while ($number < count(BOUNDS) && $seconds > BOUNDS[$number])
	$number++;
apcu_inc('requests');
apcu_inc("bucket$number");
apcu_inc('microseconds', (int)(1e6 * $seconds));
