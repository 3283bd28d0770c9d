"""Bars and cuts in the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from dougong.cli.output import table, width

from dougong_command_next.words import w

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bars(odds: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a token: the longest bar is the likeliest token's."""
    most = max(item["probability"] for item in odds) or 1.0
    names = [quoted(item["text"]) for item in odds]
    column = max(map(width, names))
    for name, item in zip(names, odds, strict=True):
        share = item["probability"]
        yield f"{name}{' ' * (column - width(name))}  {100 * share:6.2f} %  {bar(share / most)}"


def bar(share: float) -> str:
    eighths = round(share * _WIDTH * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def cut_lines(tokens: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The cut at a glance, each token by itself, and the rate."""
    if not tokens:
        return
    yield "│".join(plain(item["text"].replace("\n", "⏎")) for item in tokens)
    yield ""
    yield from table([[str(item["id"]), quoted(item["text"]), f"{item['start']}-{item['end']}"] for item in tokens])
    characters = tokens[-1]["end"]
    yield w(
        "{tokens} tokens, {characters} characters, {rate:.2f} characters a token",
        tokens=len(tokens), characters=characters, rate=characters / len(tokens),
    )  # fmt: skip


def quoted(text: str) -> str:
    """A token's text with its white space to be seen."""
    return "'" + plain(text.replace("\n", "⏎").replace("\t", "⇥")) + "'"


def plain(text: str) -> str:
    """Without what a terminal would obey: control and direction characters."""
    return "".join(
        f"\\x{ord(char):02x}" if unicodedata.category(char) in ("Cc", "Cf") and char != "\n" else char for char in text
    )
