"""Writes monitoring/grafana/dashboards/fcgi-webapp.json. `make dashboard` runs it with the libraries that it needs.

    dashboard.py            write
    dashboard.py --check    exit 1 if the file is not what this program writes
"""

import json
import pathlib
import sys
import zlib

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

import application
import rows
from alerts import runbook
from panels import DATASOURCE, PAGE_WIDTH, place
from queries import service

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / "monitoring" / "grafana" / "dashboards" / "fcgi-webapp.json"

# A folded row asks nothing until somebody opens it. A row without panels is left out.
FOLDED, OPEN = True, False
ROWS = [
    ("Routes: requests in the last hour", OPEN, application.routes_row),
    ("Application", OPEN, application.metrics_row),
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
    Annotation("Application started", "blue", "changes(%s[1m]) > 0" % service("process_start_time_seconds")),
    Annotation("Critical alert", "red", 'ALERTS{alertstate="firing", severity="critical"}', "{{alertname}}"),
]
if application.has_route("riseload"):
    ANNOTATIONS.append(Annotation("Load raised", "orange", "max(%s) > 0" % service("fcgi_load_active")))


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


def number_of(title):
    """A panel keeps its number while others come and go: links to a panel and diffs depend on it."""
    return zlib.crc32(title.encode()) >> 1


def put(parent, panels, top):
    """Add panels to the page or to a folded row. Returns where the last line of panels ends."""
    bottom = place(panels, top)
    for panel in panels:
        parent.with_panel(panel.id(number_of(panel.build().title)))
    return bottom


def make():
    """The dashboard as text."""
    page = frame()
    top = put(page, rows.overview(), 0)
    for title, folded, row in ROWS:
        panels = row()
        if panels:
            heading = build.Row(title).id(number_of("row " + title)).collapsed(folded)
            page.with_row(heading.grid_pos(model.GridPos(h=1, w=PAGE_WIDTH, y=top)))
            bottom = put(heading if folded else page, panels, top + 1)
            top = top + 1 if folded else bottom
    return json.dumps(page.build(), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def main():
    text = make()
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit("%s does not follow its source and the tables: run `make dashboard`" % FILE.relative_to(ROOT))
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        FILE.write_text(text)
        print("wrote %s" % FILE.relative_to(ROOT))


main()
