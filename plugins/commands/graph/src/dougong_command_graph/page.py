"""The graph as one HTML page. Texts travel as JSON and are shown by ``textContent``: none of them can run."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files

from dougong.messages import language

from dougong_command_graph.view import Held
from dougong_command_graph.words import w

_SAID = (
    "entity", "also", "joined to", "said of it", "places", "line", "community", "nothing found", "near", "synonym",
    "entities", "relations",
)  # fmt: skip


def page(held: Held, most: int) -> str:
    """The whole page, with `most` entities."""
    data = held.data(most)
    data["words"] = {word: w(word) for word in _SAID} | {"more": w("and {n} more", n="{n}")}
    told = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":  # nothing in it ends the element that holds it
        told = told.replace(char, f"\\u{ord(char):04x}")
    script, style = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'"
    search = escape(w("Search"))
    lang = "zh" if language() == "zh" else "en"
    html = f"""<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{w("knowledge graph")}</title><style>{style}</style></head><body>
<canvas id="map" role="img" aria-label="{w("knowledge graph")}" tabindex="0"></canvas>
<header><h1>{w("knowledge graph")}</h1><p id="count" class="soft"></p>
<input id="search" type="search" placeholder="{search}" aria-label="{search}" autocomplete="off">
<ul id="found"></ul><p class="soft">{w("Drag to move, scroll to zoom, click a dot.")}</p></header>
<aside id="side" hidden></aside>
<script type="application/json" id="data">{told}</script><script>{script}</script></body></html>
"""
    return html.encode("utf-8", "backslashreplace").decode("utf-8")
