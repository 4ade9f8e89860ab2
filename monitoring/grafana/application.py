"""The rows that follow the application's tables, so that nobody edits the dashboard for a route or a metric."""

import tables
from panels import graph, tile
from queries import highest, increase, per_second, quantile, service, total

ROUTES = tables.routes()

# Grafana's unit of a value, and of what is added to a counter in a second.
UNITS = {
    "seconds": ("s", "percentunit"),
    "bytes": ("bytes", "Bps"),
    "ratio": ("percentunit", "percentunit"),
    "": ("short", "cps"),
}


def has_route(name):
    return any(route.name == name for route in ROUTES)


def title_of(route):
    """The path, with the methods if another route has the same path."""
    shared = [other.path for other in ROUTES].count(route.path) > 1
    return "%s %s" % (route.methods.replace(" ", ""), route.path) if shared else route.path


def routes_row():
    """A number for each route. It is 0 for a route without requests, and absent without metrics of the service."""
    def last_hour(*matchers):
        return total(increase(service("http_requests_total", *matchers), "1h"))

    return [tile(title_of(route), "short", "round(%s or 0 * %s)" % (last_hour('endpoint="%s"' % route.name), last_hour()),
                 about="Requests in the last hour. The counters survive restarts.", height=3, decimals=0) for route in ROUTES]


def metrics_row():
    """A panel for each metric of fcgi/app/metrics.def."""
    return [PANELS[metric.kind](metric) for metric in tables.metrics()]


def legend(*labels):
    return " ".join("{{%s}}" % label for label in labels if label)


def panel(metric, unit, *queries, minimum=0):
    return graph(metric.name, unit, *queries, about=metric.help, minimum=minimum)


def counter(metric):
    query = total(per_second(service(metric.name)), by=metric.label)
    return panel(metric, UNITS[metric.unit][1], (legend(metric.label) or "all", query))


def gauge(metric):
    """Each worker has a value of its own, and the service has their sum."""
    query = total(service(metric.name), by=metric.label)
    return panel(metric, UNITS[metric.unit][0], (legend(metric.label) or "all", query), minimum=None)


def last_gauge(metric):
    """Each pod has a value, which may be of the same thing, such as a database: they are not added."""
    query = highest(service(metric.name), by=", ".join(filter(None, ("namespace", "pod", metric.label))))
    return panel(metric, UNITS[metric.unit][0], (legend("pod", metric.label), query), minimum=None)


def histogram(metric):
    buckets = service(metric.name + "_bucket")
    return panel(metric, UNITS[metric.unit][0], *(
        (("p%g " % (100 * share) + legend(metric.label)).strip(), quantile(share, buckets, by=metric.label))
        for share in (0.5, 0.95)))


PANELS = {"COUNTER": counter, "GAUGE": gauge, "GAUGE_LAST": last_gauge, "HISTOGRAM": histogram}
