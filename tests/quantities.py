"""Quantities in manifests of Kubernetes."""

import re

UNITS = {"": 1, "m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(text):
    """The number of a quantity, such as 2, 200m or 96Mi."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()
    return float(number) * UNITS[unit]
