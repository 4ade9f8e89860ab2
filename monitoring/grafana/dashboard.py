"""Writes monitoring/grafana/dashboards/fcgi-webapp.json. `make dashboard` runs it with the library that it needs.

    dashboard.py            write
    dashboard.py --check    exit 1 if the file is not what this program writes
"""

import json
import pathlib
import sys

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

import rows
from alerts import runbook
from panels import DATASOURCE, PAGE_WIDTH, place
from queries import service

FILE = pathlib.Path(__file__).resolve().parent / "dashboards" / "fcgi-webapp.json"

# A folded row asks nothing until somebody opens it.
FOLDED, OPEN = True, False
ROWS = [
    ("Requests", OPEN, rows.requests),
    ("CPU and memory", OPEN, rows.resources),
    ("Workers", FOLDED, rows.workers),
    ("nginx", FOLDED, rows.nginx_row),
    ("Service level", FOLDED, rows.service_level),
    ("Kubernetes", FOLDED, rows.kubernetes),
    ("The alerting chain", FOLDED, rows.alerting_chain),
]


class Annotation(model.AnnotationQuery):
    """A mark on the time axis of all graphs. The library does not know the option titleFormat of the datasource."""

    def __init__(self, name, color, query, title=None):
        super().__init__(name=name, icon_color=color, datasource=DATASOURCE, expr=query)
        self.title = title or name

    def build(self):
        return self

    def to_json(self):
        return super().to_json() | {"titleFormat": self.title}


ANNOTATIONS = [
    Annotation("Load raised", "orange", "max(%s) > 0" % service("fcgi_load_active")),
    Annotation("Application started", "blue", "changes(%s[1m]) > 0" % service("process_start_time_seconds")),
    Annotation("Critical alert", "red", 'ALERTS{alertstate="firing", severity="critical"}', "{{alertname}}"),
]


def choice(name, label, about, series):
    """A list of the values of a label, above the panels. All are chosen at first."""
    variable = build.QueryVariable(name).label(label).description(about).datasource(DATASOURCE)
    variable.query({"qryType": 1, "query": "label_values(%s, %s)" % (series, name),
                    "refId": "PrometheusVariableQueryEditor-VariableQuery"})
    variable.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".*")


def frame():
    """The dashboard without its panels."""
    requests = 'http_requests_total{job="fcgi-webapp"}'
    page = build.Dashboard("fcgi-webapp").uid("fcgi-webapp").tags(["fcgi-webapp"])
    page.description("The service, its container and its alerts.").version(1)
    page.time("now-1h", "now").refresh("10s").tooltip(model.DashboardCursorSync.CROSSHAIR)
    page.link(build.DashboardLink("Runbooks").type(model.DashboardLinkType.LINK).icon("doc").tooltip("One page an alarm")
              .url(runbook("Watchdog").replace("/blob/", "/tree/").removesuffix("/Watchdog.md")).target_blank(True))
    page.annotations(ANNOTATIONS)
    page.with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    page.with_variable(choice("namespace", "Namespace", "Namespace of the service", requests))
    page.with_variable(choice("pod", "Pod", "Pods of the service", requests.replace("}", ', namespace=~"$namespace"}')))
    return page


def make():
    """The dashboard as text."""
    page = frame()
    top, panels, headings = 0, rows.overview(), []
    top = place(panels, top)
    for panel in panels:
        page.with_panel(panel)
    for title, folded, row in ROWS:
        heading = build.Row(title).collapsed(folded).grid_pos(model.GridPos(h=1, w=PAGE_WIDTH, y=top))
        headings.append(heading)
        members = row()
        bottom = place(members, top + 1)
        page.with_row(heading)
        for panel in members:
            (heading if folded else page).with_panel(panel)
        top = top + 1 if folded else bottom
        panels += members
    for number, panel in enumerate(panels + headings, 1):
        panel.id(number)
    return json.dumps(page.build(), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def main():
    text = make()
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit("%s is not what `make dashboard` writes: run it" % FILE.name)
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        FILE.write_text(text)


main()
