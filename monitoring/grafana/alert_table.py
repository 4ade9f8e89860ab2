"""The table of the alerts that fire, with links to their runbooks."""

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common, prometheus
from grafana_foundation_sdk.models import dashboard as model

import alerts as rules
from panels import start, target

ORDER = ("alertstate", "severity", "alertname")
HIDDEN = ("Time", "Value", "__name__", "instance", "job")


def alert_table():
    panel = start(table.Panel(), "Alerts", "Firing and pending alerts, without Watchdog. An empty list is good.",
                  ["Watchdog"], 24, 6)
    panel.align(common.FieldTextAlignment.LEFT).cell_options(common.TableAutoCellOptions()).no_value("nothing fires")
    panel.show_header(True).cell_height(common.TableCellHeight.SM).footer(build.TableFooterOptions().show(False).reducer(["sum"]))
    panel.sort_by([build.TableSortByFieldState().display_name("alertstate").desc(False)])
    panel.override_by_name("severity", [
        model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        model.DynamicConfigValue("mappings", [{"type": "value", "options": {
            "critical": {"color": "red", "index": 0},
            "high": {"color": "orange", "index": 1},
        }}]),
    ])
    panel.override_by_name("alertname", [model.DynamicConfigValue("links", [{
        "title": "Runbook",
        "url": rules.runbook("Watchdog").replace("Watchdog", "${__value.text}"),
        "targetBlank": True,
    }])])
    panel.with_transformation(model.DataTransformerConfig("organize", options={
        "excludeByName": {name: True for name in HIDDEN},
        "indexByName": {name: index for index, name in enumerate(ORDER)},
        "renameByName": {},
    }))
    query = target("A", 'ALERTS{alertname!="Watchdog"}').instant().format(prometheus.PromQueryFormat.TABLE)
    return panel.with_target(query)
