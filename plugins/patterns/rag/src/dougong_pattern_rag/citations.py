"""A reply's citations, ``"quoted words" [2]``, checked against the passages that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs
from dougong import Citation, Hit, Span

# Marks that writers and models exchange for each other. White space is dropped altogether, since lines are wrapped
# with a space in English and with none in Chinese.
_SAME = str.maketrans(
    {**dict.fromkeys("“”„‟«»「」『』＂", '"'), **dict.fromkeys("‘’‚‛‹›＇", "'"), **dict.fromkeys("–—―−", "-")}
)
_MARK = re.compile(r"\[\s*(\d+(?:\s*[,，、]\s*\d+)*)\s*\]")
_OPEN_OF = {"”": "“„", '"': '"', "」": "「", "』": "『", "»": "«", "＂": "＂", "“": "„"}
_BETWEEN_QUOTE_AND_MARK = " \t\n\u3000.,;:，。；：、"


@attrs.frozen
class Claim:
    """A label in the reply and the words quoted before it; `quote` is empty where the label stands bare.

    ``reply[start:end]`` is quote and label, ``reply[mark:end]`` the label with its brackets.
    """

    label: str
    quote: str
    citation: Citation | None = None
    start: int = 0
    mark: int = 0
    end: int = 0


def find(quote: str, text: str) -> Span | None:
    """Where `text` says `quote`, white space and the shape of quotes and dashes aside; None where it does not."""
    positions = [i for i, character in enumerate(text) if not character.isspace()]
    squeezed = "".join(text[i] for i in positions).translate(_SAME)
    wanted = "".join(quote.split()).translate(_SAME)
    start = squeezed.find(wanted)
    if not wanted or start < 0:
        return None
    return Span(positions[start], positions[start + len(wanted) - 1] + 1)


def cite(hit: Hit, span: Span, label: str) -> Citation:
    """The citation of ``hit.chunk.text[span.start:span.end]``, in the coordinates of its document."""
    chunk = hit.chunk
    line = int(chunk.meta.get("line") or 0)
    start = chunk.span.start + span.start
    page = int(chunk.meta.get("page") or 0)
    for at, number in chunk.meta.get("page_breaks") or ():
        page = number if at <= start else page
    return Citation(
        document=chunk.document,
        source=str(chunk.meta.get("source") or chunk.document),
        span=Span(start, chunk.span.start + span.end),
        quote=span.of(chunk.text),
        label=label,
        headings=chunk.headings,
        line=line + chunk.text.count("\n", 0, span.start) if line else 0,
        page=page,
    )


def claims(reply: str, hits: Sequence[Hit]) -> list[Claim]:
    """Every label in `reply` with the quote before it, and its citation if the passage bears the quote out."""
    found: list[Claim] = []
    done = at = 0  # end of the last quoted claim, which no quote reaches back over, and start of its quote
    inside: list[tuple[int, int]] = []  # where verified quotes lie; "[3]" within one is the source's, not a label
    bare: list[Claim] = []
    for mark in _MARK.finditer(reply):
        labels = re.findall(r"\d+", mark[1])
        quotes = list(_quotes_before(reply, done, mark.start()))
        if not quotes:
            # The next of several marks after one quote, "..." [1][2], shares it.
            if found and found[-1].quote and not reply[done : mark.start()].strip(_BETWEEN_QUOTE_AND_MARK):
                quotes = [(at, found[-1].quote)]
            else:
                bare += [Claim(label, "", None, mark.start(), mark.start(), mark.end()) for label in labels]
                continue
        for label in labels:
            hit = hits[int(label) - 1] if 0 < int(label) <= len(hits) else None
            for at, quote in quotes:  # longest first: a quote may hold quotation marks of its own
                span = find(quote, hit.chunk.text) if hit else None
                if hit and span:
                    found.append(Claim(label, quote, cite(hit, span, label), at, mark.start(), mark.end()))
                    inside.append((at, mark.start()))
                    break
            else:
                found.append(Claim(label, quotes[-1][1], None, quotes[-1][0], mark.start(), mark.end()))
        done = mark.end()
    return found + [claim for claim in bare if not any(start < claim.mark < end for start, end in inside)]


def _quotes_before(reply: str, low: int, high: int) -> Iterator[tuple[int, str]]:
    """Start and text of each quote that could end just before `high`, longest first."""
    end = len(reply[low:high].rstrip(_BETWEEN_QUOTE_AND_MARK)) + low
    if end <= low or reply[end - 1] not in _OPEN_OF:
        return
    openers = _OPEN_OF[reply[end - 1]]
    for start in range(low, end - 1):
        if reply[start] in openers:
            yield start, reply[start + 1 : end - 1]
