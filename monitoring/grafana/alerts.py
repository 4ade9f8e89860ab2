"""What the dashboard says about alerts, read from the rules: no threshold and no link is stated twice."""

import math
import pathlib
import re
import sys

import yaml

RULES = pathlib.Path(__file__).resolve().parents[1] / "prometheus" / "rules"


def read_rules():
    """The name of each alert and of each recorded series -> its rule."""
    rules = {}
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            rules |= {rule.get("alert") or rule["record"]: rule for rule in group["rules"]}
    return rules


ALL = read_rules()


def rule(name):
    if name not in ALL:
        sys.exit("dashboard: no rule in monitoring/prometheus/rules is named %s" % name)
    return ALL[name]


def runbook(alert):
    """The address of an alert's page."""
    return rule(alert)["annotations"]["runbook_url"]


def find(name, pattern):
    """What the pattern's group matches first in a rule's expression."""
    match = re.search(pattern, rule(name)["expr"], re.S)
    if not match:
        sys.exit("dashboard: the rule %s has nothing like %s" % (name, pattern))
    return match[1]


def factors(alert, after=""):
    """The numbers of a comparison, such as 14.4 and 0.001 of `> 14.4 * 0.001`: the first one, or the first one after a text."""
    product = find(alert, re.escape(after) + r".*?[<>]=? *([\d.]+(?: \* [\d.]+)*)")
    return [float(factor) for factor in product.split(" * ")]


def threshold(alert, after=""):
    """The number with which an alert compares."""
    return round(math.prod(factors(alert, after)), 9)


def windows(series):
    """Of rules such as NAME_rate5m and NAME_rate1h: 5m and 1h."""
    return [name.removeprefix(series) for name in ALL if name.startswith(series)]


def percent(share):
    return "%g %%" % (100 * share)


# Endpoints that do not count for the service level, and the objectives.
UNCOUNTED = find("job:http_requests:error_ratio_rate5m", 'endpoint!~"([^"]*)"')
SLOW_SECONDS = float(find("job:http_requests:slow_ratio_rate5m", 'le="([^"]*)"'))
BURN_FAST, ERROR_BUDGET = factors("ErrorBudgetBurnFast")
BURN_SLOW, SLOW_BUDGET = factors("LatencyBurnSlow")
