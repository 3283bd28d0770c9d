"""Segments: immutable postings of some chunks, in arrays that are memory-mapped from disk.

An index is a few of them, as in Lucene: what is added becomes a new segment, what is deleted is marked dead in its
segment, and small or half-dead segments are merged into larger ones.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import attrs
import numpy as np

# A lone surrogate in a term or an id is stored as it is.
_UTF8 = ("utf-8", "surrogatepass")


class Strings(Sequence[bytes]):
    """Sorted strings as UTF-8 (its order is that of code points): one blob, and where each ends. Searched in place."""

    def __init__(self, blob: np.ndarray, ends: np.ndarray) -> None:
        self.blob, self.ends = blob, ends
        self._bytes, self._ends = memoryview(blob), memoryview(ends)

    @classmethod
    def of(cls, strings: Sequence[bytes]) -> Strings:
        ends = np.cumsum(np.fromiter(map(len, strings), np.int64, len(strings)))
        return cls(np.frombuffer(b"".join(strings), np.uint8), ends)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> bytes:  # type: ignore[override]
        return bytes(self._bytes[self._ends[i - 1] if i else 0 : self._ends[i]])

    def all(self) -> list[bytes]:
        """Every string; ten times faster than one by one."""
        blob, ends = self.blob.tobytes(), self.ends.tolist()
        return [blob[start:end] for start, end in zip([0, *ends], ends)]

    def find(self, string: str) -> int:
        """Position of `string`, or -1."""
        key = string.encode(*_UTF8)
        at = bisect_left(self, key)
        return at if at < len(self) and self[at] == key else -1


@attrs.frozen(eq=False)
class Segment:
    """Postings of n chunks with v terms; p pairs of a chunk and a term in it.

    Attributes:
        name: unique in an index and those saved from it.
        ids: of the chunks, sorted, so that order by number is order by id.
        lengths: int32 ``(n,)``, terms in each chunk.
        terms: sorted.
        starts: int64 ``(v + 1,)``; postings of term t are at ``starts[t]:starts[t + 1]``.
        docs: int32 ``(p,)``, ascending within a term.
        counts: unsigned ``(p,)``, how often the term is in the chunk.
        dead: bool ``(n,)`` where chunks were deleted; None where none was.
        home: folder that holds the arrays, unchanged; None where none does.
    """

    name: str
    ids: Strings
    lengths: np.ndarray
    terms: Strings
    starts: np.ndarray
    docs: np.ndarray
    counts: np.ndarray
    dead: np.ndarray | None = None
    home: Path | None = None

    @property
    def live(self) -> int:
        """Chunks that are not deleted."""
        return len(self.lengths) - (0 if self.dead is None else int(self.dead.sum()))

    def postings(self, term: str) -> tuple[np.ndarray, np.ndarray]:
        """Live chunks that hold `term`, and how often."""
        at = self.terms.find(term)
        if at < 0:
            return self.docs[:0], self.counts[:0]
        docs, counts = (array[self.starts[at] : self.starts[at + 1]] for array in (self.docs, self.counts))
        if self.dead is None:
            return docs, counts
        alive = ~self.dead[docs]
        return docs[alive], counts[alive]

    def frequencies(self) -> np.ndarray:
        """Live chunks of each term, int64 ``(v,)``."""
        if self.dead is None:
            return np.diff(self.starts)
        return np.diff(np.concatenate(([0], np.cumsum(~self.dead[self.docs])))[self.starts])

    def without(self, ids: Sequence[str]) -> Segment:
        """The same segment with `ids` dead, as far as it holds them."""
        if 20 * len(ids) < len(self.ids):
            found = [at for id in ids if (at := self.ids.find(id)) >= 0]
        else:
            numbers = {id: at for at, id in enumerate(self.ids.all())}
            found = [numbers[key] for id in ids if (key := id.encode(*_UTF8)) in numbers]
        if not found:
            return self
        dead = np.zeros(len(self.ids), bool) if self.dead is None else self.dead.copy()
        dead[found] = True
        return attrs.evolve(self, dead=dead)


def build(name: str, texts: Mapping[str, Sequence[str]]) -> Segment:
    """A segment of chunks, given the terms of each by its id."""
    ids = sorted(texts)
    number: defaultdict[str, int] = defaultdict(count().__next__)
    lengths = np.fromiter((len(texts[id]) for id in ids), np.int32, len(ids))
    seen = chain.from_iterable(texts[id] for id in ids)
    tokens = np.fromiter(map(number.__getitem__, seen), np.int64, int(lengths.sum(dtype=np.int64)))
    terms = sorted(number)
    rank = np.empty(len(terms), np.int64)
    rank[np.fromiter((number[term] for term in terms), np.int64, len(terms))] = np.arange(len(terms))
    keys = rank[tokens] << 32 | np.repeat(np.arange(len(ids)), lengths)
    keys.sort()
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(first, append=len(keys))
    return _pack(name, _encoded(ids), lengths, _encoded(terms), keys[first], counts)


def merge(name: str, segments: Sequence[Segment]) -> Segment:
    """One segment with the live chunks of all `segments`."""
    terms = sorted(set().union(*(segment.terms.all() for segment in segments)))
    number = {term: at for at, term in enumerate(terms)}
    ids = list(chain.from_iterable(segment.ids.all() for segment in segments))
    lengths = np.concatenate([segment.lengths for segment in segments])
    alive = np.concatenate([np.ones(len(s.ids), bool) if s.dead is None else ~s.dead for s in segments])
    order = np.array(sorted(np.flatnonzero(alive).tolist(), key=ids.__getitem__), np.int64)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(order))
    keys, counts, first = [], [], 0
    for segment in segments:
        here = np.fromiter((number[term] for term in segment.terms.all()), np.int64, len(segment.terms))
        docs = first + segment.docs
        live = alive[docs]
        keys.append((np.repeat(here, np.diff(segment.starts)) << 32 | rank[docs])[live])
        counts.append(segment.counts[live])
        first += len(segment.ids)
    key = np.concatenate(keys)
    by_key = np.argsort(key)
    return _pack(
        name, [ids[at] for at in order.tolist()], lengths[order], terms, key[by_key], np.concatenate(counts)[by_key]
    )


def _encoded(strings: Iterable[str]) -> list[bytes]:
    return [string.encode(*_UTF8) for string in strings]


def _pack(
    name: str, ids: Sequence[bytes], lengths: np.ndarray, terms: Sequence[bytes], keys: np.ndarray, counts: np.ndarray
) -> Segment:
    """A segment of sorted `keys`, ``term << 32 | chunk``. Terms that no chunk holds any more are left out."""
    frequencies = np.bincount(keys >> 32, minlength=len(terms))
    held = np.flatnonzero(frequencies)
    return Segment(
        name,
        Strings.of(ids),
        lengths,
        Strings.of([terms[at] for at in held.tolist()]),
        np.concatenate(([0], np.cumsum(frequencies[held]))),
        (keys & 0xFFFFFFFF).astype(np.int32),
        counts.astype(np.min_scalar_type(int(counts.max(initial=0)))),
    )


# ---------------------------------------------------------------- on disk


def _arrays(segment: Segment) -> dict[str, np.ndarray]:
    return {
        "ids": segment.ids.blob,
        "id-ends": segment.ids.ends,
        "lengths": segment.lengths,
        "terms": segment.terms.blob,
        "term-ends": segment.terms.ends,
        "starts": segment.starts,
        "docs": segment.docs,
        "counts": segment.counts,
    }


def write(segment: Segment, folder: Path) -> Segment:
    """Put the segment into `folder`; arrays that lie in its home are linked, not written again."""
    for name, array in _arrays(segment).items():
        file = f"{segment.name}.{name}.npy"
        if segment.home is not None:
            try:
                os.link(segment.home / file, folder / file)
                continue
            except OSError:  # another file system, no links there, or the folder is gone: the mapped array is not
                pass
        _save(folder / file, array)
    if segment.dead is not None:
        _save(folder / f"{segment.name}.dead.npy", segment.dead)
    return attrs.evolve(segment, home=folder)


def _save(path: Path, array: np.ndarray) -> None:
    with open(path, "xb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path, name: str, sizes: Mapping[str, int], dead: bool) -> Segment:
    """The segment `name` of `folder`, memory-mapped. Raises ValueError or OSError where arrays are missing or cut."""

    def array(part: str) -> np.ndarray:
        path = folder / f"{name}.{part}.npy"
        return np.asarray(np.load(path, mmap_mode=None if sizes.get(part) == 0 else "r", allow_pickle=False))

    parts = {part: array(part) for part in sizes}
    for part, size in sizes.items():
        if parts[part].shape != (size,):
            raise ValueError(f"{name}.{part}.npy holds {parts[part].shape} items instead of {size}")
    for ends, items in (("id-ends", "ids"), ("term-ends", "terms"), ("starts", "docs")):
        if sizes[ends] and parts[ends][-1] != sizes[items]:
            raise ValueError(f"{name}.{ends}.npy and {name}.{items}.npy do not fit")
    return Segment(
        name,
        Strings(parts["ids"], parts["id-ends"]),
        parts["lengths"],
        Strings(parts["terms"], parts["term-ends"]),
        parts["starts"],
        parts["docs"],
        parts["counts"],
        np.array(array("dead")) if dead else None,
        folder,
    )


def sizes(segment: Segment) -> dict[str, int]:
    """What `read` checks the files by."""
    return {name: len(array) for name, array in _arrays(segment).items()}
