"""The chart of a result: bars, in an SVG that needs nothing and fits a light
and a dark page."""

from xml.sax.saxutils import escape

PANELS = (
    ("Requests a second, 64 connections", "rps", 64, "{:,.0f}", "more is better"),
    ("CPU time of all server processes, µs a request, 64 connections", "cpu_us", 64, "{:.1f}", "less is better"),
    ("p99, ms, 256 connections", "p99_ms", 256, "{:.1f}", "less is better"),
    ("Memory (PSS), MiB, 64 connections", "pss_mib", 64, "{:.1f}", "less is better"),
)
POD_PANELS = (("Requests a second in the CPU limits of the pod, 64 connections", "rps", 64, "{:,.0f}", "more is better"),)
WIDTH, LABELS, BAR, GAP, HEAD = 760, 190, 18, 6, 40
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.note { fill: #57606a }
rect { fill: #8c959f }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #8b949e } rect { fill: #6e7681 } .ours { fill: #4493f8 }
}
"""


def panel(rows, title, metric, form, note, top):
    """The lines of one panel, and where it ends."""
    longest = max(row[metric] for row in rows)
    room = WIDTH - LABELS - 80
    yield f'<text class="head" x="0" y="{top + 16}">{escape(title)} <tspan class="note">({note})</tspan></text>'
    for number, row in enumerate(rows):
        y = top + HEAD - 12 + number * (BAR + GAP)
        length = max(1, room * row[metric] / longest)
        ours = ' class="ours"' if row["peer"] == "fcgi-webapp" else ""
        yield f'<text x="{LABELS - 8}" y="{y + 14}" text-anchor="end">{escape(row["peer"])}</text>'
        yield f'<rect{ours} x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        yield f'<text x="{LABELS + length + 6:.1f}" y="{y + 14}">{form.format(row[metric])}</text>'


def draw(rows, panels=PANELS):
    lines, top = [], 0
    for title, metric, connections, form, note in panels:
        shown = [row for row in rows if row["connections"] == connections]
        if shown:
            lines += panel(shown, title, metric, form, note, top)
            top += HEAD + len(shown) * (BAR + GAP)
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    body = "\n".join(lines)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
