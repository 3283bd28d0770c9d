"""The tree in the terminal: a line a call."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from dougong_command_trace.tree import Node, Trace, place
from dougong_command_trace.words import w

WIDTH = 72


def lines(trace: Trace) -> Iterator[str]:
    yield shown(f"{w('run')} {trace.path}  {summary(trace)}")
    if trace.header.get("task"):
        yield shown(f"{w('task')}: {short(str(trace.header['task']))}")
    yield from _below(trace.root, "")
    if trace.answer is None:
        yield ending(trace)
        return
    reason = f" ({trace.answer.reason})" if trace.answer.reason else ""
    yield shown(f"{w(trace.answer.status)}: {short(trace.answer.text)}{reason}")
    for citation in trace.answer.citations:
        yield shown(f"  [{citation.label}] {place(citation)}  {short(citation.quote)}")


def ending(trace: Trace) -> str:
    """How a run without an answer ended, if it did."""
    return shown(f"{w('failed')}: {short(trace.failed)}") if trace.failed else w("unfinished")


def summary(trace: Trace) -> str:
    """``7 calls, 1.20 s, 310 tokens in, 42 tokens out, 0.0031 USD``."""
    usage = trace.usage
    parts = [f"{len(trace.calls)} {w('calls')}", f"{trace.seconds:.2f} s"]
    parts += [f"{usage.input_tokens} {w('tokens in')}", f"{usage.output_tokens} {w('tokens out')}"]
    parts += [f"{money:.6g} {currency}" for currency, money in trace.money.items()]
    return ", ".join(parts) + (f" ({w('estimated')})" if usage.estimated else "")


def title(node: Node) -> str:
    """What stands there, without figures."""
    if node.kind == "branch":
        return f"{w('branch')} {node.name}"
    names = {"parallel": w("parallel"), "child": w("child run"), "middleware": w("middleware"), "value": w("value")}
    return f"{names.get(node.kind, node.kind)} {node.name}".strip() + (f" ({w('write')})" if node.write else "")


def figures(node: Node) -> str:
    """Milliseconds, tokens, money, and how it ended."""
    usage, parts = node.usage, []
    if node.begun:
        parts.append(f"{node.ms:.1f} ms" if node.ms is not None else w("not finished"))
    if usage.input_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens}+{usage.output_tokens} tok")
    if usage.money:
        parts.append(f"{usage.money:.6g} {usage.currency}")
    parts += [w("closed early")] * node.cut
    parts += [w("begun {n} times", n=node.begun)] * (node.begun > 1)
    return ", ".join(parts)


def said(node: Node) -> str:
    """What came of it, in a few words."""
    if node.error:
        return f"{w('error')}: {node.error}"
    if node.hits:
        return ", ".join(place(hit) for hit in node.hits)
    value = node.value
    return short(node.text or (getattr(value, "text", "") if value is not None else "") or str(value or ""))


def short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def shown(text: str) -> str:
    """What a terminal would obey is shown instead: a retrieved text may hold control sequences."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"\\u{ord(c):04x}" for c in text)


def _below(node: Node, indent: str) -> Iterator[str]:
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        figured = figures(child)
        head = f"{indent}{'└─' if last else '├─'} {title(child)}" + (f"  [{figured}]" if figured else "")
        yield shown(f"{head}  {said(child)}".rstrip())
        yield from _below(child, indent + ("   " if last else "│  "))
