"""The panels, in the one style that all of them have. dashboard.py calls them, and so adds a panel by one call.

What the calls have in common:
    title        of its own: no two panels have the same
    about        a sentence or two behind the (i) of the panel
    alerts       names of alerts: the panel links to their runbooks
    thresholds   pairs (color, value): from this value on the color changes
    width        in columns of the page, which has 24
    height       in units of about 40 pixels
"""

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

import alerts as rules

PAGE_WIDTH = 24
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")


def graph(title, unit, *queries, about="", alerts=(), thresholds=(), width=8, height=8, stack=False,
          decimals=None, soft_max=None, minimum=0, colors=(), exemplars=False):
    """Lines over time.

    queries      pairs (legend, PromQL); a legend such as "{{pod}}" names labels
    stack        areas on top of each other, for parts of a whole
    decimals     0 for what only has whole numbers
    soft_max     the axis reaches at least up to this value
    minimum      where the axis begins; None: at the smallest value
    colors       results of color()
    exemplars    whether the exemplars of the first query are shown as points
    """
    style = common.GraphThresholdsStyleMode.DASHED if thresholds else common.GraphThresholdsStyleMode.OFF
    stacking = common.StackingMode.NORMAL if stack else common.StackingMode.NONE
    panel = start(timeseries.Panel(), title, about, alerts, width, height).unit(unit)
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    panel.draw_style(common.GraphDrawStyle.LINE).line_width(1).fill_opacity(20 if stack else 0)
    panel.show_points(common.VisibilityMode.NEVER).span_nulls(False).axis_soft_min(0)
    panel.stacking(build.StackingConfig().mode(stacking).group("A"))
    panel.thresholds_style(build.GraphThresholdsStyleConfig().mode(style))
    panel.legend(build.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(True)
                 .placement(common.LegendPlacement.BOTTOM).calcs([]))
    panel.tooltip(build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    if thresholds:
        panel.thresholds(steps("green", thresholds))
    for name, value in (("min", minimum), ("decimals", decimals), ("axis_soft_max", soft_max)):
        if value is not None:
            getattr(panel, name)(value)
    for regexp, properties in colors:
        panel.override_by_regexp(regexp, properties)
    for letter, (legend, query) in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", queries, strict=False):
        line = target(letter, query).range().legend_format(legend)
        panel.with_target(line.exemplar(True) if exemplars and letter == "A" else line)
    return panel


def distribution(title, unit, query, about="", alerts=(), width=8, height=8):
    """How the values of a histogram spread over time: the stronger the color, the more of them. Exemplars are points.

    query        the rates of the buckets, by le
    """
    panel = start(heatmap.Panel(), title, about, alerts, width, height).unit(unit).calculate(False)
    panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
    panel.color(heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
    panel.cell_values(heatmap.CellValues().unit("reqps")).hide_legend()
    return panel.with_target(target("A", query).range().exemplar(True).format(PromQueryFormat.HEATMAP).legend_format("{{le}}"))


def tile(title, unit, query, about="", alerts=(), thresholds=(), width=3, height=4, decimals=None,
         base="text", line=False, background=False, words=None):
    """One large number.

    base         the color below the first threshold
    line         whether a small graph of the last hour is behind the number
    background   whether the background has the color, not the number
    words        what to show for a number: {"1": "works"}
    """
    panel = start(stat.Panel(), title, about, alerts, width, height).unit(unit)
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    panel.thresholds(steps(base, thresholds)).no_value("no data")
    panel.reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.orientation(common.VizOrientation.AUTO).justify_mode(common.BigValueJustifyMode.AUTO)
    panel.text_mode(common.BigValueTextMode.VALUE)
    panel.color_mode(common.BigValueColorMode.BACKGROUND if background else common.BigValueColorMode.VALUE)
    panel.graph_mode(common.BigValueGraphMode.AREA if line else common.BigValueGraphMode.NONE)
    if decimals is not None:
        panel.decimals(decimals)
    if words:
        panel.mappings([model.ValueMap({value: model.ValueMappingResult(text=text, index=index)
                                        for index, (value, text) in enumerate(words.items())})])
    return panel.with_target(target("A", query).range() if line else target("A", query).instant())


def color(regexp, name, dashed=False, filled=False):
    """The color, and the style, of the lines whose legend matches."""
    properties = [model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": name})]
    if dashed:
        properties.append(model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}))
    if filled:
        properties.append(model.DynamicConfigValue("custom.fillOpacity", 20))
    return regexp, properties


def start(panel, title, about, alerts, width, height):
    """What every panel has. place() decides where it stands."""
    panel.title(title).datasource(DATASOURCE).grid_pos(model.GridPos(w=width, h=height))
    if about:
        panel.description(about)
    if alerts:
        panel.links([dashboard.DashboardLink(alert).type(model.DashboardLinkType.LINK).url(rules.runbook(alert)).target_blank(True)
                     for alert in alerts])
    return panel


def target(letter, query):
    return prometheus.Dataquery().ref_id(letter).datasource(DATASOURCE).expr(query)


def steps(base, thresholds):
    colors = [model.Threshold(color=base)] + [model.Threshold(color=name, value=value) for name, value in thresholds]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(colors)


def place(panels, top):
    """Put panels side by side, in lines that begin at `top`. Returns where the last line ends."""
    left = height = 0
    for position in (panel.build().grid_pos for panel in panels):
        if left + position.w > PAGE_WIDTH:
            left, top, height = 0, top + height, 0
        position.x, position.y = left, top
        left, height = left + position.w, max(height, position.h)
    return top + height
