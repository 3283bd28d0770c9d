"""The run as one HTML page: no script, no outside asset; every text is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from dougong import Message, Sampling
from dougong.codec import to_data
from dougong.messages import language

from dougong_command_trace.terminal import ending, figures, said, short, summary, title
from dougong_command_trace.tree import Node, Trace, place
from dougong_command_trace.words import w

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--soft:#66707a;--line:#dfe3e8;--page:#fff;--box:#f6f7f9;--mark:#8a5a00;
--bad:#b3261e;--llm:#2458a6;--tool:#7a3e9d;--retriever:#1f7a4d}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7ea;--soft:#98a2ad;--line:#343a42;--page:#16191d;--box:#1f2329;
--mark:#e0b25a;--bad:#ff8a80;--llm:#8ab4f8;--tool:#d7a3f0;--retriever:#7bd3a5}}
body{margin:2rem auto;max-width:64rem;padding:0 1.5rem;background:var(--page);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:2rem 0 .5rem}.soft{color:var(--soft)}
.task,.answer{border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;white-space:pre-wrap}
ul{list-style:none;margin:0;padding:0}ul ul{margin-left:.6rem;padding-left:1rem;border-left:1px solid var(--line)}
details>summary,.row{cursor:pointer;padding:.18rem .4rem;border-radius:6px;display:flex;gap:.6rem;align-items:baseline}
.row{cursor:default}summary::-webkit-details-marker{display:none}summary:hover{background:var(--box)}
summary::before{content:"▸";color:var(--soft);width:.8rem}details[open]>summary::before{content:"▾"}
.row::before{content:"";width:.8rem}.kind{font-weight:600;white-space:nowrap}
.llm{color:var(--llm)}.tool{color:var(--tool)}.retriever{color:var(--retriever)}
.said{flex:1;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--soft)}
.figures{white-space:nowrap;color:var(--soft);font-variant-numeric:tabular-nums;font-size:.86em}.bad{color:var(--bad)}
.body{margin:.2rem 0 .6rem 1.6rem}.label{color:var(--soft);font-size:.8em;margin:.5rem 0 .15rem}
pre{margin:0;padding:.6rem .8rem;background:var(--box);border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;
max-height:24rem;overflow:auto;font:13px/1.5 ui-monospace,Menlo,Consolas,"Noto Sans Mono CJK SC",monospace}
.data pre{border-left:3px solid var(--mark)}.data .label{color:var(--mark)}
"""


def page(trace: Trace) -> str:
    """The whole page."""
    return "\n".join(_page(trace)).encode("utf-8", "backslashreplace").decode("utf-8")


def _page(trace: Trace) -> Iterator[str]:
    lang = "zh" if language() == "zh" else "en"
    name = escape(trace.path.name)
    yield f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{name}</title><style>{_STYLE}</style></head><body>"
    yield f'<h1>{w("run")} {name}</h1><p class="soft">{escape(summary(trace))}</p>'
    if trace.header.get("task"):
        yield f'<h2>{w("task")}</h2><div class="task">{escape(str(trace.header["task"]))}</div>'
    yield f"<h2>{w('answer')}</h2>"
    yield from _answer(trace)
    yield f"<h2>{w('run')}</h2>"
    yield from _list(trace.root)
    yield "</body></html>"


def _answer(trace: Trace) -> Iterator[str]:
    answer = trace.answer
    if answer is None:
        yield f'<div class="answer bad">{escape(ending(trace))}</div>'
        return
    yield f'<div class="answer">{escape(answer.text)}</div>'
    if answer.status != "answered":
        yield f'<p class="bad">{w(answer.status)}: {escape(answer.reason)}</p>'
    for citation in answer.citations:
        label = f"[{citation.label}] {place(citation)}"
        yield from _box(f"{w('cited')} {label}", citation.quote, data=True)


def _list(node: Node) -> Iterator[str]:
    if node.children:
        yield "<ul>"
        for child in node.children:
            yield "<li>"
            yield from _node(child)
            yield "</li>"
        yield "</ul>"


def _node(node: Node) -> Iterator[str]:
    bad = " bad" if node.error or (node.begun and node.ms is None) else ""
    head = (
        f'<span class="kind {escape(node.kind)}">{escape(title(node))}</span>'
        f'<span class="said{bad}">{escape(short(said(node)))}</span>'
        f'<span class="figures">{escape(figures(node))}</span>'
    )
    if node.begun:
        yield f'<details id="{escape(node.path)}"><summary>{head}</summary><div class="body">'
        yield from _request(node)
        yield from _outcome(node)
        yield "</div></details>"
    else:
        yield f'<div class="row">{head}</div>'
    yield from _list(node)


def _request(node: Node) -> Iterator[str]:
    for name, value in node.arguments.items():
        if name == "messages" and isinstance(value, list) and all(isinstance(item, Message) for item in value):
            for message in value:
                for part in message.parts:
                    label = f"{message.role}, {w('quoted data')} {part.source}" if part.kind == "data" else message.role
                    yield from _box(label, part.text, data=part.kind == "data" or message.role == "tool")
                if message.tool_calls:
                    yield from _box(f"{message.role}, {w('tool calls')}", _json(message.tool_calls))
        elif value not in (None, [], {}, Sampling()):
            yield from _box(f"{w('request')}: {name}", value if isinstance(value, str) else _json(value))


def _outcome(node: Node) -> Iterator[str]:
    if node.text:
        yield from _box(w("result"), node.text)
    calls = [call for item in node.items for call in getattr(item, "tool_calls", ())]
    if calls:
        yield from _box(w("tool calls"), _json(calls))
    for number, hit in enumerate(node.hits, 1):
        label = f"{number}  {place(hit)}  ({hit.score:.4g})  {w('retrieved text: data, not instruction')}"
        yield from _box(label, hit.chunk.text, data=True)
    value = node.value
    if value is not None and not node.hits:
        text = getattr(value, "text", None)
        yield from _box(
            w("tool output: data, not instruction"), text if isinstance(text, str) else _json(value), data=True
        )
    if node.error:
        yield from _box(w("error"), node.error)


def _box(label: str, text: str, data: bool = False) -> Iterator[str]:
    kind = ' class="data"' if data else ""
    yield f'<div{kind}><div class="label">{escape(label)}</div><pre>{escape(text)}</pre></div>'


def _json(value: Any) -> str:
    return json.dumps(to_data(value), ensure_ascii=False, indent=2)
