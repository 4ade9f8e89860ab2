"""Decodes the dashboard with Grafana's own model, and reports unknown fields, which Grafana would silently drop."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# Read by Grafana's Prometheus datasource, which the model knows as a black box.
KNOWN_TO_PLUGINS = {"titleFormat"}


def lost(before, after, path=""):
    """What is in the file and not in what the model made of it."""
    if isinstance(before, dict):
        for key, value in before.items():
            where = "%s/%s" % (path, key)
            if isinstance(after, dict) and key in after:
                yield from lost(value, after[key], where)
            elif value not in (None, []) and key not in KNOWN_TO_PLUGINS:
                yield "%s is not in the model: %r" % (where, value)
    elif isinstance(before, list):
        if not isinstance(after, list) or len(before) != len(after):
            yield "%s is another list in the model" % path
        else:
            for i, (one, other) in enumerate(zip(before, after)):
                yield from lost(one, other, "%s/%d" % (path, i))
    elif before != after:
        yield "%s is %r, in the model %r" % (path, before, after)


def main(paths):
    register_default_plugins()
    failed = False
    for path in paths:
        with open(path, encoding="utf-8") as file:
            source = json.load(file)
        decoded = json.loads(json.dumps(Dashboard.from_json(source), cls=JSONEncoder))
        problems = list(lost(source, decoded))
        print("\n".join("%s: %s" % (path, problem) for problem in problems) or "%s: decoded strictly" % path)
        failed |= bool(problems)
    return failed


sys.exit(main(sys.argv[1:]))
