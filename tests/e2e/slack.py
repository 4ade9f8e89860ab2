"""A stand-in for Slack: accepts Alertmanager's messages, checks, prints and keeps them.

    POST /services/...    an incoming webhook: 200 "ok", or 400 for what Slack would mangle
    POST /heartbeat, /    where Watchdog goes
    GET  /                the messages as Slack would show them
    GET  /messages        the messages as JSON, in the order they came
    GET  /heartbeats      how many have come
    PUT  /answer/500      answer every webhook so from now on (429 and 500 are what Slack says)

Limits: title 1,024 characters, an attachment's text 8,000, 100 attachments, footer 300.
Markup: & < > stand for themselves only as &amp; &lt; &gt;, and < > enclose a link or a date.
"""

import argparse
import html
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIMITS = {"title": 1024, "text": 8000, "footer": 300, "fallback": 1024}
ANGLE = re.compile(r"<((?:https?://|!date\^)[^<>\s][^<>]*)>")
EMOJI = {"red_circle": "\N{LARGE RED CIRCLE}", "large_orange_circle": "\N{LARGE ORANGE CIRCLE}",
         "large_green_circle": "\N{LARGE GREEN CIRCLE}"}


def markup_faults(text):
    """What Slack would not show as it was meant."""
    faults = []
    outside = ANGLE.sub("", text)
    if "<" in outside or ">" in outside:
        faults.append("a < or > that is not escaped: %r" % around(outside, "[<>]"))
    if re.search(r"&(?!(amp|lt|gt);)", text):
        faults.append("an & that is not escaped: %r" % around(text, "&(?!(amp|lt|gt);)"))
    for link in ANGLE.findall(text):
        if link.startswith("http") and not re.fullmatch(r"https?://[^\s|]+(\|[^|]+)?", link):
            faults.append("a link that is none: %r" % link)
    return faults


def around(text, pattern):
    at = re.search(pattern, text).start()
    return text[max(0, at - 30):at + 30]


def faults_of(message):
    """Every way in which a message is not what Slack takes; empty when it is."""
    if not isinstance(message, dict):
        return ["not an object"]
    attachments = message.get("attachments", [])
    faults = []
    if not attachments and not message.get("text"):
        faults.append("neither text nor attachments")
    if len(attachments) > 100:
        faults.append("%d attachments, 100 at most" % len(attachments))
    for attachment in attachments:
        for field, limit in LIMITS.items():
            value = attachment.get(field, "")
            if len(value) > limit:
                faults.append("%s of %d characters, %d at most" % (field, len(value), limit))
            faults += ["%s: %s" % (field, fault) for fault in markup_faults(value)]
        if not attachment.get("fallback"):
            faults.append("no fallback, so a phone shows nothing")
        if not re.fullmatch(r"good|warning|danger|#[0-9a-fA-F]{6}", attachment.get("color", "")):
            faults.append("no such color: %r" % attachment.get("color"))
        if "<no value>" in json.dumps(attachment):
            faults.append("a template without a value")
    return faults


def emoji(text):
    return re.sub(r":([a-z_]+):", lambda m: EMOJI.get(m.group(1), m.group(0)), text)


def convert(text, link, bold, plain):
    """mrkdwn turned into something else: link(url, label), bold(text), plain(text)."""
    def angle(match):
        target, _, label = match.group(1).partition("|")
        if target.startswith("!date^"):
            seconds = int(target.split("^")[1])
            return plain(time.strftime("%b %-d %H:%M:%S", time.localtime(seconds)))
        return link(html.unescape(target), plain(html.unescape(label or target)))

    out, at = [], 0
    for match in ANGLE.finditer(text):
        out += [plain(html.unescape(text[at:match.start()])), angle(match)]
        at = match.end()
    out.append(plain(html.unescape(text[at:])))
    return re.sub(r"(?m)(?<![\w*])\*([^*\n]+)\*(?![\w*])", lambda m: bold(m.group(1)), emoji("".join(out)))


def as_text(message, styled=False):
    """The message as Slack shows it, for a terminal: a bar in its color, links by their label."""
    lines = []
    for attachment in message.get("attachments", []):
        bar = "|"
        if styled:
            rgb = [int(attachment["color"][i:i + 2], 16) for i in (1, 3, 5)]
            bar = "\033[38;2;%d;%d;%dm\N{LEFT HALF BLOCK}\033[0m" % tuple(rgb)
        bold = (lambda s: "\033[1m%s\033[0m" % s) if styled else (lambda s: "*%s*" % s)
        link = (lambda u, s: "\033]8;;%s\033\\\033[4m%s\033[0m\033]8;;\033\\" % (u, s)) if styled else (lambda u, s: "[%s]" % s)

        def shown(text, bold=bold, link=link):
            return convert(text, link, bold, str)
        body = shown(attachment.get("text", "")).strip().split("\n")
        lines.append(shown(attachment.get("title", "")) if not styled else bold(shown(attachment.get("title", ""))))
        lines += body
        lines.append(attachment.get("footer", ""))
        lines = ["%s %s" % (bar, line) for line in lines]
    return "\n".join(line.rstrip() for line in [message.get("username", "")] + lines)


def as_html(message):
    parts = []
    for attachment in message.get("attachments", []):
        def shown(text):
            return convert(text, lambda u, s: '<a href="%s">%s</a>' % (html.escape(u), s),
                           lambda s: "<b>%s</b>" % s, html.escape)
        parts.append('<article style="border-left:4px solid %s"><h2><a href="%s">%s</a></h2><p>%s</p><footer>%s</footer></article>' % (
            html.escape(attachment.get("color", "")), html.escape(attachment.get("title_link", "")),
            shown(attachment.get("title", "")), shown(attachment.get("text", "").strip()).replace("\n", "<br>"),
            html.escape(attachment.get("footer", ""))))
    return "".join(parts)


PAGE = """<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Slack stand-in</title>
<style>body{font:15px/1.45 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#1d1c1d}article{padding:.1em 0 .1em .9em;margin:.3em 0 1.6em}
h2{font-size:1em;margin:.2em 0}p{margin:.2em 0}a{color:#1264a3;text-decoration:none}footer,small{color:#616061;font-size:.8em}</style>
<h1>#alerts</h1>%s"""


class Slack(ThreadingHTTPServer):
    """Keeps what came in `messages` (taken) and `refused` (answered with an error)."""

    daemon_threads = True

    def __init__(self, address, show=lambda entry: None):
        super().__init__(address, Handler)
        self.show = show
        self.lock = threading.Lock()
        self.messages, self.refused, self.heartbeats, self.answer = [], [], 0, 200

    def take(self, body):
        """The status and the words with which Slack would answer."""
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        faults = faults_of(message)
        entry = {"received": time.time(), "message": message, "faults": faults}
        status = self.answer if self.answer != 200 else 400 if faults else 200
        with self.lock:
            (self.messages if status == 200 else self.refused).append(dict(entry, status=status))
        if status == 200:
            self.show(entry)
        return status, {200: "ok", 400: "invalid_payload", 429: "rate_limited"}.get(status, "server_error")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, text, content_type="text/plain"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path in ("/", "/heartbeat"):
            with self.server.lock:
                self.server.heartbeats += 1
            return self.reply(200, "ok")
        if self.path.startswith("/services/"):
            return self.reply(*self.server.take(body))
        return self.reply(404, "no_service")

    def do_PUT(self):
        match = re.fullmatch(r"/answer/(\d{3})", self.path)
        if not match:
            return self.reply(404, "PUT /answer/STATUS")
        self.server.answer = int(match.group(1))
        return self.reply(200, "ok")

    def do_GET(self):
        with self.server.lock:
            messages, refused, beats = list(self.server.messages), list(self.server.refused), self.server.heartbeats
        if self.path == "/messages":
            return self.reply(200, json.dumps({"taken": messages, "refused": refused}), "application/json")
        if self.path == "/heartbeats":
            return self.reply(200, str(beats))
        if self.path == "/":
            shown = "".join("<small>%s</small>%s" % (time.strftime("%H:%M:%S", time.localtime(m["received"])), as_html(m["message"]))
                            for m in reversed(messages))
            return self.reply(200, PAGE % (shown or "<p>No message yet.</p>"), "text/html")
        return self.reply(404, "not found")

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description="A stand-in for Slack that shows each message it is sent.")
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9099)
    arguments = parser.parse_args()
    styled = sys.stdout.isatty()

    def show(entry):
        when = time.strftime("%H:%M:%S", time.localtime(entry["received"]))
        print("\nSlack %s  %s\n" % (when, as_text(entry["message"], styled)), flush=True)

    Slack((arguments.listen, arguments.port), show).serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
