"""What every chunker must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs

from dougong.testing.comparing import difference, plain
from dougong.testing.conformance import Conformance
from dougong.testing.texts import TREES, cuts_grapheme, documents, examples, random_texts, random_trees, without_trees
from dougong.types import Chunk, Document, Section

Cases = Sequence[tuple[Document, list[Chunk]]]


class ChunkerConformance(Conformance):
    """Chunks are exact stretches of the document, in order; together they hold everything a reader sees.

    Tried with ordinary and hostile texts, with documents with and without a tree, and at random. `golden`: a text or
    a `Document`, and the texts of its chunks; with `details`, ``(text, headings, parent's text or None, oversize)``.

    Attributes:
        maximum: tokens that a chunk has at most unless it is `oversize`; None where the technique promises none.
        tokenizer: the tokenizer that ``Chunk.tokens`` are of, a config of it or an object; None where `tokens` is -1.
        tokens_of: what is counted: the ``chunk`` by itself, or those tokens of the whole ``document`` that it holds.
        headings: whether chunks tell the headings that they stand under.
        named: whether ids are `Chunk.name`; else they only have to be unique and stable.
        graphemes: False for one that must cut inside what a reader sees as a character.
        details: whether `golden` tells more than texts.
        documents: more documents to try it on, of the sort that it is made for.
    """

    kind: ClassVar[str] = "chunker"
    across_processes: ClassVar[bool] = True
    maximum: int | None = None
    tokenizer: Any = None
    tokens_of: Literal["chunk", "document"] = "chunk"
    headings: bool = True
    named: bool = True
    graphemes: bool = True
    details: bool = False
    documents: Sequence[Document] = ()

    def observe(self, built: Any) -> Any:
        return [list(built.chunk(document)) for document in (*documents()[:8], *TREES, *self.documents)]

    def answer(self, built: Any, given: Any) -> Any:
        document = given if isinstance(given, Document) else Document("golden", given, None, "golden")
        chunks = list(built.chunk(document))
        if not self.details:
            return [chunk.text for chunk in chunks]
        parents = [chunk.parent.of(document.text) if chunk.parent else None for chunk in chunks]
        return [(c.text, c.headings, parent, c.oversize) for c, parent in zip(chunks, parents)]

    def cases(self) -> Cases:
        """Each document with its chunks; those with a tree also without it."""
        built = self.build()
        tried = [*documents(), *without_trees(TREES), *self.documents]
        return [(document, list(built.chunk(document))) for document in tried]

    def test_a_chunk_is_the_text_that_its_span_names(self) -> None:
        """``document.text[start:end] == text``, exactly: not stripped, not joined, not found by searching."""
        every(self.cases(), check_spans)

    def test_chunks_come_in_order(self) -> None:
        """By start, then by end; none twice."""
        every(self.cases(), check_order)

    def test_no_character_is_lost(self) -> None:
        """Each that is not white space is in some chunk."""
        every(self.cases(), check_coverage)

    def test_nothing_comes_of_nothing(self) -> None:
        """No chunk is empty or blank; a blank document has none."""
        every(self.cases(), check_not_blank)

    def test_no_grapheme_is_cut(self) -> None:
        """Families of emoji, flags, letters with marks, CR LF stay whole."""
        if self.graphemes:
            every(self.cases(), check_graphemes)

    def test_ids_are_unique_and_stable(self) -> None:
        """``Chunk.name(document.id, span)``, unless the technique has its own."""
        every(self.cases(), self._check_ids)

    def test_a_chunk_knows_its_document(self) -> None:
        """By id; and what `meta` says of source and line is so."""
        every(self.cases(), check_origin)

    def test_tokens_are_counted_truly(self) -> None:
        """By the tokenizer that the technique names, or not at all."""
        count = self._counter()
        for document, chunks in self.cases():
            for chunk in chunks:
                told = f"{document.id}, {chunk.id}: tokens={chunk.tokens}"
                if count is None:
                    assert chunk.tokens >= -1, f"{told}; give -1 where they are not counted"
                else:
                    truth = count(document, chunk)
                    assert chunk.tokens == truth, f"{told}, but the {self.tokens_of}'s tokens in it are {truth}"

    def test_the_maximum_holds(self) -> None:
        """For all but a chunk that could not be cut further, which says so."""
        if self.maximum is None:
            return
        for document, chunks in self.cases():
            for chunk in chunks:
                told = f"{document.id}, {chunk.id} has {chunk.tokens} tokens of at most {self.maximum}"
                assert chunk.oversize or chunk.tokens <= self.maximum, f"{told}; cut it further, or say oversize"
                assert not chunk.oversize or chunk.tokens > self.maximum, f"{told} and says that it is oversize"

    def test_headings_are_those_above_it(self) -> None:
        """Titles of all headings that the whole chunk stands under, outermost first; without a tree, none."""
        for document, chunks in self.cases():
            path = paths(document)
            for chunk in chunks:
                found = tuple(title for title in chunk.headings if title)
                wanted = shared(path, chunk) if self.headings else ()
                assert found == wanted, f"{document.id}, {chunk.id}: headings are {found}, above it stand {wanted}"

    def test_a_parent_encloses_its_chunk(self) -> None:
        """And lies inside the document."""
        every(self.cases(), check_parents)

    def test_chunks_come_one_by_one(self) -> None:
        """From an iterator that a caller may leave, and several of which may be open at once."""
        built = self.build()
        document = TREES[0]
        whole = list(built.chunk(document))
        stream = built.chunk(document)
        assert isinstance(stream, Iterator), f"chunk gives a {type(stream).__name__}; give an iterator: use yield"
        other = built.chunk(attrs.evolve(document, id="other"))
        mixed = [(one, two) for one, two in zip(stream, other)]
        told = difference(whole, [one for one, _ in mixed])
        assert not told, f"two open iterators disturb each other: {told}; keep their state in locals"
        left = built.chunk(document)
        next(left, None)
        getattr(left, "close", lambda: None)()
        assert not difference(whole, list(built.chunk(document))), "an iterator that was left disturbs the next"

    def test_a_document_stays_as_it_is(self) -> None:
        """Its meta and tree too, and no chunk shares a mapping with another."""
        built = self.build()
        for document in TREES:
            before = plain(document)
            chunks = list(built.chunk(document))
            assert not difference(before, plain(document)), f"{document.id} was changed; copy what you change"
            metas = [id(chunk.meta) for chunk in chunks if chunk.meta]
            assert len(set(metas)) == len(metas), f"chunks of {document.id} share one meta; make one for each"

    def test_a_long_text_without_a_space_is_cut(self) -> None:
        """100,000 characters."""
        document = Document("long", "木构abc,。" * 12_500, None, "long")
        chunks = list(self.build().chunk(document))
        every([(document, chunks)], check_spans, check_order, check_coverage)

    def test_random_documents(self) -> None:
        """All of the above, for texts and trees that nobody thought of."""
        from hypothesis import given
        from hypothesis import strategies as st

        built = self.build()
        texts = random_texts().map(lambda text: Document("random", text, None, "random"))

        @examples(60)
        @given(st.one_of(texts, random_trees()))
        def check(document: Document) -> None:
            case = [(document, list(built.chunk(document)))]
            every(case, check_spans, check_order, check_coverage, check_not_blank, self._check_ids, check_parents)
            if self.graphemes:
                every(case, check_graphemes)

        check()

    def _check_ids(self, document: Document, chunks: list[Chunk]) -> None:
        ids = [chunk.id for chunk in chunks]
        assert len(set(ids)) == len(ids), f"{document.id}: ids are not unique; use Chunk.name(document.id, span)"
        for chunk in chunks if self.named else ():
            wanted = Chunk.name(document.id, chunk.span)
            assert chunk.id == wanted, (
                f"{document.id}: a chunk is called {chunk.id}, not {wanted}; or say named = False"
            )

    def _counter(self) -> Callable[[Document, Chunk], int] | None:
        tokenizer = self.tokenizer
        if tokenizer is None:
            return None
        if isinstance(tokenizer, (str, Mapping)):
            from dougong.testing.techniques import assembly_of

            use = dict(tokenizer) if not isinstance(tokenizer, str) else {"use": tokenizer}
            name = use.pop("use")
            tokenizer = assembly_of(name if "." in name else f"tokenizer.{name}", use, self.registry())["made"]
        if self.tokens_of == "chunk":
            return lambda document, chunk: tokenizer.count(chunk.text)

        def held(document: Document, chunk: Chunk) -> int:
            pairs = tokenizer.offsets(document.text).tolist()
            return sum(start >= chunk.span.start and end <= chunk.span.end for start, end in pairs)

        return held


# ---------------------------------------------------------------- checks


def every(cases: Cases, *checks: Callable[[Document, list[Chunk]], None]) -> None:
    for document, chunks in cases:
        for check in checks:
            check(document, chunks)


def check_spans(document: Document, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        start, end = chunk.span.start, chunk.span.end
        assert 0 <= start <= end <= len(document.text), f"{document.id}: {chunk.span} leaves the text"
        text = document.text[start:end]
        assert chunk.text == text, (
            f"{document.id}: text[{start}:{end}] is {text[:60]!r}, the chunk says {chunk.text[:60]!r}; "
            "cut the text by the span, and change neither"
        )


def check_order(document: Document, chunks: list[Chunk]) -> None:
    spans = [(chunk.span.start, chunk.span.end) for chunk in chunks]
    assert spans == sorted(spans), f"{document.id}: chunks are not in order of their start: {spans[:6]}"
    assert len(set(spans)) == len(spans), f"{document.id}: a span comes twice"


def check_coverage(document: Document, chunks: list[Chunk]) -> None:
    covered = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.span.start):
        _no_gap(document, covered, chunk.span.start)
        covered = max(covered, chunk.span.end)
    _no_gap(document, covered, len(document.text))


def _no_gap(document: Document, start: int, end: int) -> None:
    gap = document.text[start:end]
    assert not gap.strip(), f"{document.id}: {gap.strip()[:60]!r} at {start} is in no chunk"


def check_not_blank(document: Document, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        assert chunk.text.strip(), f"{document.id}: chunk {chunk.id} holds only white space; leave it out"


def check_graphemes(document: Document, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        for at in (chunk.span.start, chunk.span.end):
            near = document.text[max(0, at - 6) : at], document.text[at : at + 6]
            assert not cuts_grapheme(document.text, at), (
                f"{document.id}: a cut at {at} parts {near[0]!r} from {near[1]!r}"
            )


def check_origin(document: Document, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        assert chunk.document == document.id, f"a chunk of {document.id} says it is of {chunk.document!r}"
        source = chunk.meta.get("source", document.source)
        assert source == document.source, f"{document.id}: meta says source {source!r}, it is {document.source!r}"
        if "line" in chunk.meta:
            line = document.text.count("\n", 0, chunk.span.start) + 1
            assert chunk.meta["line"] == line, f"{document.id}: meta says line {chunk.meta['line']}, it is {line}"


def check_parents(document: Document, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        if chunk.parent is not None:
            inside = 0 <= chunk.parent.start <= chunk.span.start and chunk.span.end <= chunk.parent.end
            assert inside, f"{document.id}: parent {chunk.parent} does not hold {chunk.span}"
            assert chunk.parent.end <= len(document.text), f"{document.id}: parent {chunk.parent} leaves the text"


def paths(document: Document) -> list[tuple[int, tuple[Section, ...]]]:
    """From which offset on which headings hold, ascending: a heading holds until the next of its level or above."""
    found: list[tuple[int, tuple[Section, ...]]] = [(0, ())]
    for node in document.tree.walk() if document.tree else ():
        if node.kind == "heading":
            above = found[-1][1]
            while above and above[-1].level >= node.level:
                above = above[:-1]
            found.append((node.span.start, (*above, node)))
    return found


def shared(path: list[tuple[int, tuple[Section, ...]]], chunk: Chunk) -> tuple[str, ...]:
    """Titles of the headings that all of `chunk` stands under, one at its very start included."""
    starts = [at for at, _ in path]
    over = [path[number][1] for number in range(len(path)) if _meets(starts, number, chunk)]
    common = over[0]
    for other in over[1:]:
        common = tuple(a for a, b in zip(common, other) if a is b)
    return tuple(node.title for node in common if node.title)


def _meets(starts: list[int], number: int, chunk: Chunk) -> bool:
    end = starts[number + 1] if number + 1 < len(starts) else chunk.span.end + 1
    return starts[number] < chunk.span.end and max(starts[number], chunk.span.start) < end
