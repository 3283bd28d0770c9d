"""The comparison as one HTML page: no script, no outside asset; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from dougong import Chunk, Document
from dougong_analyzer import language

from dougong_command_chunks.compare import Cut
from dougong_command_chunks.terminal import COLUMNS, values
from dougong_command_chunks.words import say

SHOWN = 200_000  # characters of text shown in a tab
BARS = 20
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--soft:#66707a;--line:#dfe3e8;--page:#fff;--box:#f6f7f9;--bad:#b3261e;
--bar:#2458a6;--c0:#d9e8fb;--c1:#fdeccb;--c2:#d8f2e1;--c3:#ecdff7;--both:#f5b8b0}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7ea;--soft:#98a2ad;--line:#343a42;--page:#16191d;--box:#1f2329;
--bad:#ff8a80;--bar:#8ab4f8;--c0:#1d3350;--c1:#46370f;--c2:#173b29;--c3:#392650;--both:#6b2a24}}
body{margin:2rem auto;max-width:72rem;padding:0 1.5rem;background:var(--page);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
h1{font-size:1.25rem;margin:0;overflow-wrap:anywhere}.soft{color:var(--soft)}.bad{color:var(--bad)}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left}
input.tab{position:absolute;opacity:0}.tabs{display:flex;flex-wrap:wrap;gap:.3rem;border-bottom:1px solid var(--line)}
.tabs label{padding:.35rem .9rem;border:1px solid var(--line);border-bottom:0;border-radius:8px 8px 0 0;cursor:pointer;
color:var(--soft);background:var(--box)}.panel{display:none}
svg{display:block;max-width:100%;height:auto;margin:1rem 0}svg rect{fill:var(--bar)}
svg text{fill:var(--soft);font-size:11px}
svg line{stroke:var(--bad);stroke-dasharray:3 3}svg .axis{stroke:var(--line);stroke-dasharray:none}
details>summary{cursor:pointer;font-weight:600;margin:.8rem 0 .3rem;overflow-wrap:anywhere}
.text{position:relative;padding:.6rem 15rem .6rem .8rem;border:1px solid var(--line);border-radius:8px;
white-space:pre-wrap;overflow-wrap:anywhere;overflow-x:clip}
.c0{background:var(--c0)}.c1{background:var(--c1)}.c2{background:var(--c2)}.c3{background:var(--c3)}
.both{background:var(--both)}.text b{font-size:.7em;padding:0 .35em;margin-right:.15em;border-radius:3px;
background:var(--ink);color:var(--page);vertical-align:.15em;font-variant-numeric:tabular-nums}
.text b.over{background:var(--bad)}
.text i{position:absolute;right:.8rem;width:13.4rem;background:var(--page);font-style:normal;font-size:.78em;
color:var(--soft);white-space:nowrap;overflow:hidden;text-overflow:ellipsis;border-left:2px solid var(--line);
padding-left:.5rem}
@media(max-width:48rem){.text{padding-right:.8rem}.text i{display:none}}
"""


def page(path: Path, documents: Sequence[Document], cuts: Sequence[Cut]) -> str:
    """The whole page, in the language of the documents."""
    lang = "zh" if language("\n".join(document.text[:2000] for document in documents[:5])) == "zh" else "en"
    return "\n".join(_page(path, documents, cuts, lang)).encode("utf-8", "backslashreplace").decode("utf-8")


def _page(path: Path, documents: Sequence[Document], cuts: Sequence[Cut], lang: str) -> Iterator[str]:
    name = escape(path.name)
    characters = sum(len(document.text) for document in documents)
    chosen = "".join(
        f"#t{n}:checked~#p{n}{{display:block}}#t{n}:checked~.tabs label[for=t{n}]"
        "{color:var(--ink);background:var(--page);font-weight:600}"
        f"#t{n}:focus-visible~.tabs label[for=t{n}]{{outline:2px solid var(--bar)}}"
        for n in range(len(cuts))
    )
    yield f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{name}</title><style>{_STYLE}{chosen}</style></head><body><h1>{name}</h1>"
    counted = say("documents: {n}, characters: {characters}", lang, n=len(documents), characters=f"{characters:,}")
    yield f'<p class="soft">{counted}</p>'
    yield '<div class="wide"><table><thead><tr>'
    yield from (f"<th>{say(column, lang)}</th>" for column in ("chunker", *COLUMNS))
    yield "</tr></thead><tbody>"
    for cut in cuts:
        bad = ' class="bad"' if cut.violations or cut.error else ""
        cells = "".join(f"<td>{escape(value)}</td>" for value in values(cut))
        yield f"<tr{bad}><td>{escape(cut.label)}</td>{cells}</tr>"
    yield "</tbody></table></div>"
    for number in range(len(cuts)):
        yield f'<input class="tab" type="radio" name="tab" id="t{number}"{" checked" if not number else ""}>'
    labels = (f'<label for="t{number}">{escape(cut.label)}</label>' for number, cut in enumerate(cuts))
    yield f'<div class="tabs">{"".join(labels)}</div>'
    for number, cut in enumerate(cuts):
        yield f'<section class="panel" id="p{number}">'
        yield from _panel(documents, cut, lang)
        yield "</section>"
    yield "</body></html>"


def _panel(documents: Sequence[Document], cut: Cut, lang: str) -> Iterator[str]:
    yield f'<p class="soft">{escape(cut.technique)}</p>'
    if cut.error:
        yield f'<p class="bad">{say("error", lang)}: {escape(cut.error)}</p>'
    for problem, count in cut.violations.items():
        yield f'<p class="bad">{escape(say(problem, lang))} ({count})</p>'
    if not cut.tokens:
        yield f'<p class="soft">{say("nothing was cut", lang)}</p>'
        return
    yield from histogram(cut.tokens, cut.size, lang)
    room = SHOWN
    for document, chunks in zip(documents, cut.chunks):
        if room <= 0:
            break
        length = min(room, len(document.text))
        room -= length
        yield f"<details open><summary>{escape(document.source or document.id)}</summary>"
        if length < len(document.text):
            note = say("the first {n} of {all} characters are shown; the figures are of all", lang, n=f"{length:,}",
                       all=f"{len(document.text):,}")  # fmt: skip
            yield f'<p class="soft">{note}</p>'
        yield f'<div class="text">{"".join(coloured(document.text, chunks, length, lang))}</div></details>'


def coloured(text: str, chunks: Sequence[Chunk], length: int, lang: str) -> Iterator[str]:
    """The first `length` characters of `text`, every chunk in a colour of its own; what several share, in another."""
    good = [chunk for chunk in chunks if 0 <= chunk.span.start < chunk.span.end <= len(text)]
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for number, chunk in enumerate(good):
        if chunk.span.start < length:
            starts.setdefault(chunk.span.start, []).append(number)
            ends.setdefault(min(chunk.span.end, length), []).append(number)
    active: dict[int, None] = {}
    headings: tuple[str, ...] = ()
    edges = sorted({0, length, *starts, *ends})
    for at, upto in zip(edges, [*edges[1:], length]):
        for number in ends.get(at, ()):
            active.pop(number, None)
        for number in starts.get(at, ()):
            active[number] = None
            chunk = good[number]
            if chunk.headings != headings:
                headings = chunk.headings
                path = escape(" > ".join(headings))
                yield f'<i title="{path}">{path}</i>'
            over = ' class="over"' if chunk.oversize else ""
            yield f'<b{over} title="{escape(_about(chunk, number, lang))}">{number + 1}</b>'
        piece = escape(text[at:upto])
        if not piece:
            continue
        if not active:
            yield piece
        elif len(active) == 1:
            (number,) = active
            yield f'<span class="c{number % 4}" title="{escape(_about(good[number], number, lang))}">{piece}</span>'
        else:
            shared = escape(say("in {n} chunks", lang, n=len(active)))
            yield f'<span class="both" title="{shared}">{piece}</span>'


def _about(chunk: Chunk, number: int, lang: str) -> str:
    parts = [say("chunk {n}", lang, n=number + 1), f"{chunk.tokens} {say('tokens', lang)}"]
    parts += [say("line {n}", lang, n=chunk.meta["line"])] if "line" in chunk.meta else []
    parts += [f"{key}: {chunk.meta[key]}" for key in ("boundary", "boundary_reason", "rule") if key in chunk.meta]
    return ", ".join(parts) + (f"\n{' > '.join(chunk.headings)}" if chunk.headings else "")


def histogram(tokens: Sequence[int], size: int | None, lang: str) -> Iterator[str]:
    """Bars of how many chunks have how many tokens; a dashed line at the maximum."""
    top = max(max(tokens), size or 0, 1)
    step = -(-top // BARS)
    counts = [0] * BARS
    for count in tokens:
        counts[min(BARS - 1, max(0, count - 1) // step)] += 1
    highest, width, height = max(counts), 640, 110
    bar = width / BARS
    title = escape(say("sizes in tokens", lang))
    yield f'<svg viewBox="0 0 {width + 20} {height + 34}" width="{width + 20}" role="img" aria-label="{title}">'
    yield f'<text x="0" y="11">{title}</text>'
    for index, count in enumerate(counts):
        low, high = index * step + 1, (index + 1) * step
        tall = count / highest * (height - 24)
        about = escape(say("{n} chunks of {low} to {high} tokens", lang, n=count, low=low, high=high))
        place = f'x="{index * bar:.1f}" y="{height - tall:.1f}" width="{bar - 2:.1f}" height="{tall:.1f}"'
        yield f"<rect {place}><title>{about}</title></rect>"
        if index % 4 == 3:
            yield f'<text x="{(index + 1) * bar:.1f}" y="{height + 14}" text-anchor="end">{high}</text>'
    yield f'<line class="axis" x1="0" y1="{height}" x2="{width}" y2="{height}"/>'
    if size:
        at = size / step * bar
        yield f'<line x1="{at:.1f}" y1="18" x2="{at:.1f}" y2="{height}"/>'
        yield f'<text x="{at:.1f}" y="{height + 28}" text-anchor="end">{escape(say("size", lang))} {size}</text>'
    yield "</svg>"
