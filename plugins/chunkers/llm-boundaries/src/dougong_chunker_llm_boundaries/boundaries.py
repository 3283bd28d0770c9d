"""Passages whose ends a model names, in windows over numbered pieces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import attrs
from dougong import Chunk, Chunker, Document, Message, Part, Span, report
from dougong_analyzer import language
from dougong_analyzer.outline import Outline
from dougong_chunker_recursive import Params as RecursiveParams
from dougong_chunker_recursive.recursive import RecursiveChunker

from dougong_chunker_llm_boundaries import Params
from dougong_chunker_llm_boundaries.place import place_of
from dougong_chunker_llm_boundaries.reply import Unusable, schema_of, split_after

log = logging.getLogger("dougong.chunker.llm-boundaries")

_TASK = {"en": "each passage treats one subject", "zh": "每个段落只讲一个主题"}
_GOES_ON = {
    "en": "The document goes on after the last piece: name at least one number.",
    "zh": "最后一片之后文档还有内容：至少写出一个编号。",
}
_ENDS = {
    "en": "The document ends with the last piece: an empty list keeps all pieces in one passage.",
    "zh": "文档到最后一片结束：空列表表示所有小片同属一个段落。",
}


@attrs.frozen
class Passage:
    """Pieces ``first`` to ``last``, both in it; `failed` says why the model did not set its end."""

    first: int
    last: int
    failed: str = ""


class BoundaryChunker:
    """Chunks that end where a model says, cut from the document by offsets: no reply ever becomes text.

    The document is cut into pieces of at most `piece` tokens (by `chunker.recursive`: sentences where they fit). A
    window of numbered pieces goes to the model as quoted data; it names those after which a passage ends. The next
    window begins behind the last of them, so that every window but the document's last must name one. A reply that
    cannot be used goes back with the reason, `retries` times; then `fallback` cuts the window.

    ``tokenizer.count(chunk.text) <= size`` always, but for a single grapheme of more tokens (`oversize`): a passage
    that is too large is cut recursively, its parts having it as `parent`. ``meta["boundary"]`` says who cut:
    ``model``, ``maximum`` (a passage too large) or ``fallback``, then with the reason in ``meta["boundary_reason"]``.

    Calls are made in the active run, all those about a document in a place of the run that its content names: a resumed
    run finds them in its journal, whichever documents are done meanwhile. Raises what the model raises (`CallError`,
    `Exhausted`): no answer is not a bad answer.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._pieces = RecursiveChunker(RecursiveParams(params.piece, params.tokenizer))
        self._maximum = RecursiveChunker(RecursiveParams(params.size, params.tokenizer))

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order."""
        pieces = list(self._pieces.chunk(document))
        p = self._params
        with place_of(document, p.task, p.size, p.piece, p.window):
            passages = list(self._passages(pieces, document))
        outline = Outline(document)
        for passage in passages:
            span = Span(pieces[passage.first].span.start, pieces[passage.last].span.end)
            for part, boundary in sorted(self._fitting(document, span, passage.failed), key=_start):
                meta = outline.meta(part.span.start, part.span.end) | {"boundary": boundary}
                if passage.failed:
                    meta["boundary_reason"] = passage.failed
                headings, section = outline.path(part.span.start, part.span.end)
                whole = span if boundary == "maximum" else None
                yield attrs.evolve(
                    part, headings=headings, parent=whole or (Span(*section) if section else None), meta=meta
                )

    # ------------------------------------------------------------ the model

    def _passages(self, pieces: Sequence[Chunk], document: Document) -> Iterator[Passage]:
        """The document divided, in order. A passage that no window ended goes on to the document's end."""
        at, count = 0, len(pieces)
        lang = "zh" if language(self._params.task or document.text) == "zh" else "en"
        while at < count - 1:
            report("boundaries", at, count, document.source)
            begin, stop, tokens = at, at, 0
            while stop < count and (stop < begin + 2 or tokens + pieces[stop].tokens <= self._params.window):
                tokens += pieces[stop].tokens
                stop += 1
            try:
                numbers = self._ask([piece.text for piece in pieces[begin:stop]], stop == count, lang)
            except Unusable as reason:
                log.warning("%s: the model's boundaries cannot be used, the fallback cuts (%s)", document.id, reason)
                yield Passage(begin, stop - 1, str(reason))
                at = stop
                continue
            for number in numbers:
                yield Passage(at, begin + number - 1)
                at = begin + number
            if stop == count:
                break
        if at < count:
            yield Passage(at, count - 1)

    def _ask(self, pieces: Sequence[str], ends: bool, lang: str) -> list[int]:
        """The numbers, from 1, after which the model lets a passage end. Raises Unusable when it gave none in time."""
        p = self._params
        prompt, retry = (p.prompt_zh, p.retry_zh) if lang == "zh" else (p.prompt_en, p.retry_en)
        filled = {
            "task": p.task or _TASK[lang],
            "size": p.size,
            "piece": p.piece,
            "ending": (_ENDS if ends else _GOES_ON)[lang],
        }
        for name, value in filled.items():
            prompt = prompt.replace(f"{{{name}}}", str(value))
        numbered = tuple(Part(piece, "data", str(number)) for number, piece in enumerate(pieces, 1))
        messages = [Message("system", prompt), Message("user", numbered)]
        schema = schema_of(len(pieces), 0 if ends else 1)
        for attempt in range(p.retries + 1):
            reply = "".join(delta.text for delta in p.llm.chat(messages, schema=schema))
            try:
                return split_after(reply, len(pieces), 0 if ends else 1, lang)
            except Unusable as reason:
                if attempt == p.retries:
                    raise
                said = retry.replace("{reason}", str(reason))
                messages = [*messages[:2], Message("assistant", reply), Message("user", said)]
        raise AssertionError("unreachable")

    # ------------------------------------------------------------ the hard maximum

    def _fitting(self, document: Document, span: Span, failed: str) -> Iterator[tuple[Chunk, str]]:
        """What ``span`` becomes, in order of start, each with who cut it."""
        if failed:
            for chunk in self._inside(self._params.fallback, document, span):
                for part in self._at_most(document, chunk.span):
                    yield part, "fallback"
        else:
            parts = self._at_most(document, span)
            for part in parts:
                yield part, "model" if len(parts) == 1 else "maximum"

    def _at_most(self, document: Document, span: Span) -> list[Chunk]:
        """``span`` as one chunk if it fits, else cut recursively."""
        text = span.of(document.text)
        tokens = self._params.tokenizer.count(text)
        if tokens <= self._params.size:
            return [Chunk(Chunk.name(document.id, span), document.id, text, span, tokens=tokens)]
        return self._inside(self._maximum, document, span)

    def _inside(self, chunker: Chunker, document: Document, span: Span) -> list[Chunk]:
        """The chunks that `chunker` makes of a stretch of the document, by the document's offsets."""
        stretch = attrs.evolve(document, text=span.of(document.text), tree=None)
        found = []
        for chunk in chunker.chunk(stretch):
            moved = Span(chunk.span.start + span.start, chunk.span.end + span.start)
            found.append(attrs.evolve(chunk, id=Chunk.name(document.id, moved), span=moved))
        return found


def _start(cut: tuple[Chunk, str]) -> tuple[int, int]:
    return cut[0].span.start, cut[0].span.end
