"""Quantities in manifests of Kubernetes, durations in the configuration of Prometheus."""

import re

UNITS = {"": 1, "m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
SECONDS = {"s": 1, "m": 60, "h": 3600}


def quantity(text):
    """The number of a quantity, such as 2, 200m or 96Mi."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()
    return float(number) * UNITS[unit]


def seconds(text):
    """Of a duration with one unit, such as 10s, 1m or 6h."""
    return int(text[:-1]) * SECONDS[text[-1]]
