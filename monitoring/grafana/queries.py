"""The parts that many queries share. Each function returns PromQL.

Every series is chosen by the variables at the top of the dashboard: `service("fcgi_workers")` is
fcgi_workers{job="fcgi-webapp", namespace=~"$namespace", pod=~"$pod"}.
"""

NAMESPACE = 'namespace=~"$namespace"'
PODS = 'namespace=~"$namespace", pod=~"$pod"'


def select(metric, *matchers):
    return "%s{%s}" % (metric, ", ".join(matchers))


def service(metric, *matchers):
    """A metric of the application's /metrics."""
    return select(metric, 'job="fcgi-webapp"', PODS, *matchers)


def nginx(metric):
    """A metric of the nginx exporter."""
    return select(metric, 'job="nginx"', PODS)


def pods(metric, *matchers):
    """A metric of the pods' containers: from cAdvisor, kube-state-metrics or a recording rule."""
    return select(metric, PODS, *matchers)


def namespace(metric, *matchers):
    """A metric that has no pod."""
    return select(metric, *matchers, NAMESPACE)


def aggregate(function, series, by):
    return "%s by (%s) (%s)" % (function, by, series) if by else "%s(%s)" % (function, series)


def total(series, by=""):
    return aggregate("sum", series, by)


def lowest(series, by=""):
    return aggregate("min", series, by)


def highest(series, by=""):
    return aggregate("max", series, by)


def per_second(series):
    """How fast a counter grows."""
    return "rate(%s[$__rate_interval])" % series


def increase(series, window):
    """By how much a counter grew in a window such as 5m."""
    return "increase(%s[%s])" % (series, window)


def quantile(share, buckets, by=""):
    """The value that this share of the observations does not exceed. buckets is a series NAME_bucket."""
    labels = by + ", le" if by else "le"
    return "histogram_quantile(%g, %s)" % (share, total(per_second(buckets), labels))
