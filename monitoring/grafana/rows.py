"""The rows of the dashboard. A row is a function that returns its panels; dashboard.py lists the rows.

To add a panel, add a call to a row, and run `make dashboard`:

    graph("Open files of the pool", "short", ("{{pod}}", total(service("process_open_fds"), by=POD))),

The pair is a line's legend and its query; further pairs are further lines. Units are Grafana's: short, s, bytes,
Bps, reqps, percentunit. A panel with `alerts=["AppDown"]` links to the runbook of that alert.
"""

from alert_table import alert_table
from alerts import (BURN_FAST, BURN_SLOW, ERROR_BUDGET, SLOW_BUDGET, SLOW_SECONDS, UNCOUNTED, percent, threshold,
                    windows)
from application import has_route
from panels import color, distribution, graph, tile
from queries import highest, increase, lowest, namespace, nginx, per_second, pods, quantile, select, service, total

POD = "namespace, pod"
CONTAINER = "namespace, pod, container"

# The requests that the service level counts.
COUNTED = 'endpoint!~"%s"' % UNCOUNTED
ANSWERS = total(per_second(service("http_requests_total", COUNTED)))
FAILED = per_second(service("http_requests_total", COUNTED, 'code=~"5.."'))
ERROR_SHARE = "(%s or vector(0)) / %s" % (total(FAILED), ANSWERS)
DURATIONS = service("http_request_duration_seconds_bucket", COUNTED)
ERRORS_FAST = threshold("ErrorBudgetBurnFast")
CPU_NEAR, CPU_OVER = threshold("ContainerCPUNearLimit"), threshold("ContainerCPUOverLimit")
MEMORY_NEAR, MEMORY_OVER = threshold("ContainerMemoryNearLimit"), threshold("ContainerMemoryOverLimit")
CPU_STARVED, MEMORY_STALLED = threshold("ContainerCPUStarved"), threshold("ContainerMemoryThrashing")


def overview():
    return [
        tile("All requests, last hour", "short", "round(%s)" % total(increase(service("http_requests_total"), "1h")),
             "The counters survive restarts.", decimals=0),
        tile("Application starts", "short", total(service("fcgi_webapp_starts_total")), decimals=0,
             about="Starts of the application, from its own counter file, with or without Kubernetes.",
             alerts=["ContainerRestarting"]),
        tile("Alerts firing", "short", 'count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)',
             "Without Watchdog, which always fires.", ["Watchdog"], [("red", 1)], decimals=0, base="green", background=True),
        tile("Requests per second, now", "reqps", total(per_second(service("http_requests_total"))),
             "All routes, over the last minutes.", line=True),
        tile("Errors, now", "percentunit", ERROR_SHARE,
             "Share of the requests answered with a 5xx. Orange above the objective of %s, red above the threshold of "
             "ErrorBudgetBurnFast." % percent(ERROR_BUDGET),
             ["ErrorBudgetBurnFast"], [("orange", ERROR_BUDGET), ("red", ERRORS_FAST)], decimals=2, base="green", line=True),
        tile("p95, now", "s", quantile(0.95, DURATIONS),
             "95 %% of the requests are answered within this time. Red above the objective of %g ms." % (1000 * SLOW_SECONDS),
             ["LatencyBurnFast"], [("red", SLOW_SECONDS)], base="green", line=True),
        tile("CPU usage, highest", "percentunit", highest(pods("container:cpu_usage:ratio")),
             "Usage of the container that is closest to its limit, as a share of the limit. At 100 % the kernel throttles. "
             "No metric shows the demand above the limit.",
             ["ContainerCPUOverLimit"], [("orange", CPU_NEAR), ("red", CPU_OVER)], decimals=0, base="green", line=True),
        tile("Memory, highest", "percentunit", highest(pods("container:memory_working_set:ratio")),
             "Working set of the container that is closest to its limit, as a share of the limit.",
             ["ContainerMemoryOverLimit"], [("orange", MEMORY_NEAR), ("red", MEMORY_OVER)], decimals=0, base="green", line=True),
        alert_table(),
    ]


def requests():
    queue = service("http_request_queue_seconds_bucket")
    return [
        graph("Requests by route", "reqps",
              ("{{endpoint}}", total(per_second(service("http_requests_total")), by="endpoint") + " > 0"),
              width=12, stack=True),
        graph("Requests by status", "reqps",
              ("{{code}}", total(per_second(service("http_requests_total")), by="code") + " > 0"), width=12, stack=True,
              colors=[color("/2../", "green"), color("/3../", "blue"), color("/4../", "orange"), color("/5../", "red")]),
        graph("Errors", "percentunit",
              ("{{endpoint}}", "(%s / on () group_left () %s) > 0" % (total(FAILED, by="endpoint"), ANSWERS)),
              ("all", ERROR_SHARE),
              about="Share of the requests answered with a 5xx, as the alerts count them. The line is %g times the "
                    "budget of %s." % (BURN_FAST, percent(ERROR_BUDGET)),
              alerts=["ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"], thresholds=[("red", ERRORS_FAST)], width=12),
        graph("Duration", "s",
              *(("p%g" % (100 * share), quantile(share, DURATIONS)) for share in (0.5, 0.95, 0.99)),
              about="From a worker's start on a request to its answer. The line is the objective: %s within %g ms. A point "
                    "is a request with its trace id."
                    % (percent(1 - SLOW_BUDGET), 1000 * SLOW_SECONDS),
              alerts=["LatencyBurnFast", "LatencyBurnSlow"], thresholds=[("red", SLOW_SECONDS)], width=12, exemplars=True),
        graph("Duration by route, p95", "s",
              ("{{endpoint}}", quantile(0.95, service("http_request_duration_seconds_bucket"), by="endpoint") + " >= 0"),
              width=12, exemplars=True),
        graph("Time in the queue", "s", ("p50", quantile(0.5, queue)), ("p95", quantile(0.95, queue)),
              about="From nginx's receipt of a request to a worker's start on it. The line is the threshold of "
                    "RequestsQueueing.",
              alerts=["RequestsQueueing"], thresholds=[("red", threshold("RequestsQueueing"))], width=12, exemplars=True),
        distribution("Duration, distribution", "s", total(per_second(DURATIONS), by="le"),
                     about="Requests per second by how long they took: the stronger the color, the more.", width=12),
        graph("Response bodies", "Bps",
              ("{{endpoint}}", total(per_second(service("http_response_size_bytes_total")), by="endpoint") + " > 0"),
              width=12, stack=True),
    ]


def requested(resource):
    """What the scheduler reserves for a container."""
    return highest(pods("kube_pod_container_resource_requests", 'container!=""', 'resource="%s"' % resource), by=CONTAINER)


def limits(usage):
    """The colors of usage, limit and request."""
    return [color("/^limit/", "red", dashed=True), color("/^request/", "blue", dashed=True),
            color("/^%s/" % usage, "green", filled=True)]


def throttled():
    """The application's own figures, and cAdvisor's for the other containers."""
    other = ('container!=""', 'container!="POD"', 'container!="app"')

    def periods(series, by):
        return "%s / %s" % tuple(total(per_second(series % kind), by) for kind in ("throttled_periods", "periods"))

    return (("{{pod}}/app", periods(service("cgroup_cpu_%s_total"), POD)),
            ("{{pod}}/{{container}}", periods(pods("container_cpu_cfs_%s_total", *other), CONTAINER)))


def io_waiting():
    """Of the application's own figures, and of cAdvisor's for the other containers."""
    series = (service("cgroup_pressure_waiting_seconds_total", 'resource="io"'),
              pods("container_pressure_io_waiting_seconds_total", 'container!=""', 'container!="POD"'))
    return " or ".join(total(per_second(each), CONTAINER) for each in series)


def resources():
    cpu_alerts = ["ContainerCPUOverLimit", "ContainerCPUNearLimit"]
    memory_alerts = ["ContainerMemoryOverLimit", "ContainerMemoryNearLimit"]
    return [
        graph("CPU", "cores",
              ("usage {{pod}}/{{container}}", pods("container:cpu_usage_cores:rate45s")),
              ("limit {{pod}}/{{container}}", pods("container:cpu_limit_cores")),
              ("request {{pod}}/{{container}}", requested("cpu")),
              about="Usage cannot exceed the limit, because the kernel throttles. The scheduler reserves the request.",
              alerts=cpu_alerts, width=12, height=9, colors=limits("usage")),
        graph("CPU, share of the limit", "percentunit", ("usage {{pod}}/{{container}}", pods("container:cpu_usage:ratio")),
              about="ContainerCPUNearLimit: usage over %s. ContainerCPUOverLimit: usage over %s, and throttled."
                    % (percent(CPU_NEAR), percent(CPU_OVER)),
              alerts=cpu_alerts, thresholds=[("orange", CPU_NEAR), ("red", CPU_OVER)], width=12, height=9, soft_max=1.2,
              colors=[color("/^usage/", "green", filled=True)]),
        graph("Throttled, share of the periods", "percentunit", *throttled(),
              about="Share of the CFS periods in which the quota ran out.", alerts=["ContainerCPUOverLimit"], soft_max=1),
        graph("Memory", "bytes",
              ("working set {{pod}}/{{container}}", pods("container:memory_working_set_bytes")),
              ("limit {{pod}}/{{container}}", pods("container:memory_limit_bytes")),
              ("request {{pod}}/{{container}}", requested("memory")),
              about="The working set is the memory that the kernel cannot reclaim. At the limit the kernel kills.",
              alerts=[*memory_alerts, "ContainerOOMKilled"], colors=limits("working set")),
        graph("Memory, share of the limit", "percentunit",
              ("{{pod}}/{{container}}", pods("container:memory_working_set:ratio")),
              alerts=memory_alerts, thresholds=[("orange", MEMORY_NEAR), ("red", MEMORY_OVER)], soft_max=1),
        graph("Waiting for CPU, share of the time", "percentunit",
              ("{{pod}}/{{container}}", pods("container:cpu_waiting:ratio")),
              ("for others: {{pod}}/{{container}}", pods("container:cpu_stalled:ratio")),
              about="A process waits for a CPU. For others: and no process of the container has one, because others have "
                    "them or the quota ran out. ContainerCPUStarved fires if the quota is not the reason.",
              alerts=["ContainerCPUStarved"], thresholds=[("red", CPU_STARVED)], soft_max=1),
        graph("Waiting for memory, share of the time", "percentunit",
              ("{{pod}}/{{container}}", pods("container:memory_stalled:ratio")),
              about="All processes with work wait until the kernel has found a free page or reloaded one.",
              alerts=["ContainerMemoryThrashing"], thresholds=[("red", MEMORY_STALLED)], soft_max=1),
        graph("Waiting for I/O, share of the time", "percentunit", ("{{pod}}/{{container}}", io_waiting()),
              about="A process waits for a disk.", soft_max=1),
    ]


def workers():
    backlog = "%s / %s" % (service("fcgi_listen_queue_length"), service("fcgi_listen_queue_limit"))
    return [
        graph("Workers", "short", ("{{kind}}, {{state}}", total(service("fcgi_workers"), by="kind, state")),
              stack=True, decimals=0),
        graph("Utilisation of the workers", "percentunit",
              ("{{pod}}, {{kind}}", pods("pod:worker_utilisation:ratio_rate2m")),
              about="Share of the time that workers spend on requests, those under way included. The lines are the thresholds "
                    "of WorkersSaturated: of nonblocking and of blocking workers.",
              alerts=["WorkersSaturated"], soft_max=1,
              thresholds=[("orange", threshold("WorkersSaturated", after="nonblocking")), ("red", threshold("WorkersSaturated"))]),
        graph("Listen backlog", "percentunit", ("{{pod}}, {{kind}}", highest(backlog, by="namespace, pod, kind")),
              about="Connections that wait for a worker to accept them, as a share of the backlog's size. The line is the "
                    "threshold of RequestsQueueing.",
              alerts=["RequestsQueueing"], soft_max=1,
              thresholds=[("red", threshold("RequestsQueueing", after="fcgi_listen_queue_limit"))]),
        graph("Connections of the workers", "short", ("{{pod}}", total(service("fcgi_connections"), by=POD)), decimals=0),
        graph("Worker exits", "short",
              ("{{reason}}", total(increase(service("fcgi_worker_exits_total"), "5m"), by="reason")),
              about="In the last five minutes, by reason. Three crashed workers, or one that exceeded its deadline, fire an "
                    "alert.",
              alerts=["WorkersCrashing", "WorkerDeadlines"],
              colors=[color("/crashed/", "red"), color("/deadline/", "orange"), color("/drained/", "green"),
                      color("/recycled/", "blue")]),
        graph("Starts of the application", "short", ("{{pod}}", total(service("fcgi_webapp_starts_total"), by=POD)),
              alerts=["ContainerRestarting"], decimals=0),
        graph("Counter file, log", "short",
              ("counter files moved aside", total(service("fcgi_webapp_store_recoveries_total"))),
              ("counter file changed", total(service("fcgi_webapp_store_incidents_total"))),
              ("log lines dropped", total(service("fcgi_webapp_log_dropped_total"))),
              about="Damaged counter files that were moved aside; counter files that another program truncated, overwrote, "
                    "deleted or replaced; log lines dropped because the log was not read.",
              alerts=["CounterStoreRecovered"], decimals=0),
        graph("Processes of the pool", "bytes",
              ("resident {{pod}}", total(service("process_resident_memory_bytes"), by=POD))),
        graph("Open files of the pool", "short", ("{{pod}}", total(service("process_open_fds"), by=POD)), decimals=0),
        *([raised_load()] if has_route("riseload") else []),
    ]


def raised_load():
    return graph("Raised load", "short", ("{{pod}}", total(service("fcgi_load_active"), by=POD)),
                 about="1: /riseload runs a load.", decimals=0)


def nginx_row():
    return [
        graph("nginx", "short", ("{{pod}}", lowest(nginx("nginx_up"), by=POD)),
              about="1: the exporter reaches nginx's status page.", alerts=["NginxDown"], decimals=0),
        graph("Requests in nginx", "reqps", ("{{pod}}", total(per_second(nginx("nginx_http_requests_total")), by=POD)),
              about="Includes requests that never reached the pool."),
        graph("Client connections", "short",
              *((state, total(nginx("nginx_connections_" + state))) for state in ("reading", "writing", "waiting")),
              stack=True, decimals=0),
    ]


def burn_rate(title, objective, series, budget, alerts):
    """How many times faster than allowed the budget is used."""
    return graph(title, "short",
                 *((window, "%s / %g" % (namespace(series + window, 'job="fcgi-webapp"'), budget))
                   for window in windows(series)),
                 about="%s. Fast: over %g in 1 h and 5 min. Slow: over %g in 6 h and 30 min."
                       % (objective, BURN_FAST, BURN_SLOW),
                 alerts=alerts, thresholds=[("orange", BURN_SLOW), ("red", BURN_FAST)], width=12)


def service_level():
    return [
        burn_rate("Error budget burn rate", percent(1 - ERROR_BUDGET) + " without a 5xx", "job:http_requests:error_ratio_rate",
                  ERROR_BUDGET, ["ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"]),
        burn_rate("Latency budget burn rate", "%s within %g ms" % (percent(1 - SLOW_BUDGET), 1000 * SLOW_SECONDS),
                  "job:http_requests:slow_ratio_rate", SLOW_BUDGET, ["LatencyBurnFast", "LatencyBurnSlow"]),
    ]


def kubernetes():
    traffic = [total(per_second(pods("container_network_%s_bytes_total" % way)), by=POD) for way in ("receive", "transmit")]
    return [
        graph("Container restarts", "short",
              ("{{pod}}/{{container}}", total(increase(pods("kube_pod_container_status_restarts_total"), "30m"), by=CONTAINER)),
              about="In the last 30 minutes. Three restarts fire an alert.", alerts=["ContainerRestarting", "CrashLooping"],
              thresholds=[("red", threshold("ContainerRestarting"))]),
        graph("Last termination reason", "short",
              ("{{pod}}/{{container}} {{reason}}",
               highest(pods("kube_pod_container_status_last_terminated_reason"), by=CONTAINER + ", reason") + " == 1"),
              about="1 for the last reason. It never clears.", alerts=["ContainerOOMKilled"], decimals=0),
        graph("Pods", "short", ("desired {{deployment}}", namespace("kube_deployment_spec_replicas")),
              ("available {{deployment}}", namespace("kube_deployment_status_replicas_available")),
              alerts=["ReplicasMismatch"], decimals=0),
        graph("Autoscaler", "short",
              ("running {{horizontalpodautoscaler}}", namespace("kube_horizontalpodautoscaler_status_current_replicas")),
              ("maximum {{horizontalpodautoscaler}}", namespace("kube_horizontalpodautoscaler_spec_max_replicas")),
              alerts=["HPAMaxedOut"], width=12, decimals=0),
        graph("Network of the pods", "Bps", ("in {{pod}}", traffic[0]), ("out {{pod}}", "-" + traffic[1]),
              about="From cAdvisor.", width=12, minimum=None),
    ]


def alerting_chain():
    slack = 'integration="slack"'
    return [
        tile("The chain", "short", 'count(ALERTS{alertname="Watchdog", alertstate="firing"}) or vector(0)',
             "Works when Watchdog fires: Prometheus evaluates its rules.", ["Watchdog"], [("green", 1)], width=6, height=6,
             base="red", background=True, words={"0": "broken", "1": "works"}),
        graph("Targets", "short", ("{{job}}", lowest("up", by="job")), about="1: Prometheus reaches it.",
              alerts=["AppDown", "TargetDown", "MetricsMissing"], width=9, height=6, decimals=0),
        graph("Alertmanagers found by Prometheus; configuration loaded", "short",
              ("Alertmanagers", "prometheus_notifications_alertmanagers_discovered"),
              ("configuration loaded", lowest("prometheus_config_last_reload_successful")),
              alerts=["NotConnectedToAlertmanager", "ConfigReloadFailed"], width=9, height=6, decimals=0),
        graph("Slack messages", "short",
              ("sent in 5 min", total(increase(select("alertmanager_notifications_total", slack), "5m"))),
              ("failed in 5 min", total(increase(select("alertmanager_notifications_failed_total", slack), "5m"))),
              about="From Alertmanager.", alerts=["SlackSendFailing"], width=24, height=6),
    ]
