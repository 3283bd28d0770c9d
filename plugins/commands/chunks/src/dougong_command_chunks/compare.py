"""Documents, the chunkers that cut them, and what came of it."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from dougong import Chunk, Document, DougongError, LoadError, Place
from dougong.assemble import Assembly, installed
from dougong.config import Node, read
from dougong.errors import ConfigError
from dougong.kinds import Library
from dougong.origin import origin
from dougong.overrides import override, parse_set
from dougong.registry import Registry
from dougong_analyzer import words

from dougong_command_chunks.words import w

CONFIGS = (".yaml", ".yml", ".json")


@attrs.frozen
class Cut:
    """What one chunker made of all documents.

    Attributes:
        chunks: of each document.
        size: its maximum of tokens; None where it has no parameter of that name.
        violations: of the contract, each with how often.
        error: what it failed with.
    """

    label: str
    technique: str
    chunks: Sequence[Sequence[Chunk]]
    size: int | None
    seconds: float
    violations: Mapping[str, int]
    error: str = ""

    @property
    def tokens(self) -> list[int]:
        return [chunk.tokens for document in self.chunks for chunk in document]

    def figures(self) -> dict[str, Any]:
        """Counts; sizes in the chunker's tokens; ``fill``, the mean share of `size` that chunks take up."""
        tokens = self.tokens or [0]
        mean = statistics.fmean(tokens)
        return {
            "technique": self.technique,
            "chunks": len(self.tokens),
            "mean": round(mean, 1),
            "median": statistics.median(tokens),
            "max": max(tokens),
            "size": self.size,
            "fill": round(mean / self.size, 3) if self.size else None,
            "oversize": sum(chunk.oversize for document in self.chunks for chunk in document),
            "seconds": round(self.seconds, 4),
            "violations": dict(self.violations),
            **({"error": self.error} if self.error else {}),
        }


class Comparison:
    """The documents at `path`, and the chunkers to compare on them. A context manager.

    Raises ConfigError, LoadError where path, config or chunkers are wrong.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        size: int | None = None,
        sets: Sequence[str] = (),
        plugins: Sequence[str] = (),
        most: int = 10,
    ) -> None:
        if path.is_dir():
            cure = w("name one file in it, or a config with a library")
            raise ConfigError(w("{path} is a folder", path=path), hint=cure)
        if not path.exists():
            raise ConfigError(w("{path} does not exist", path=path), hint=w("check the path"))
        config = path.suffix.lower() in CONFIGS
        self.names = list(dict.fromkeys(name.removeprefix("chunker.") for name in names))
        if not config and not self.names:
            self.names = ["recursive"]
        tree = read(path) if config else Node({}, Place(str(path)))
        for name in self.names:
            if name not in tree.value:
                tree = override(tree, name, {"use": f"chunker.{name}"}, Place("--chunker"))
            if size is not None:
                tree = override(tree, f"{name}.size", size, Place("--size"))
        for option in sets:
            key, node = parse_set(option)
            tree = override(tree, key, node, node.place)
        registry = Registry(files=map(Path, plugins)) if plugins else installed()
        self.assembly = Assembly(tree, registry)
        self.libraries = {
            name: plan for name, plan in self.assembly.document.plans.items() if Library in plan.loaded.protocol.__mro__
        }
        for name in self.names:
            plan = self.assembly.document.plans[name]
            if plan.loaded.kind != "chunker":
                raise ConfigError(
                    w("'{name}' is a {kind}, no chunker", name=name, kind=plan.loaded.kind),
                    place=plan.node.place,
                    hint=w("name a chunker"),
                )
        self.failed: list[tuple[str, str]] = []
        self.total = 1
        self.documents = list(self._stored(most)) if config else [self._file(path)]

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *exception: object) -> None:
        self.assembly.close()

    def chunkers(self) -> dict[str, Any]:
        """The libraries' own, unless some were named, and those named, built."""
        found = (
            {} if self.names else {f"{name}.chunker": self.assembly.part(f"{name}.chunker") for name in self.libraries}
        )
        return found | {name: self.assembly[name] for name in self.names}

    def learn(self) -> list[Path]:
        """Have each chunker that learns do so from the documents; where it wrote what it learnt."""
        learners = [chunker for chunker in self.chunkers().values() if hasattr(chunker, "learn")]
        if not learners:
            raise ConfigError(w("none of the chunkers learns"), hint=w("name one that does, llm-rules say"))
        return [learner.learn(self.documents) for learner in learners]

    def cuts(self) -> list[Cut]:
        """What each chunker makes of the documents. One that fails says so; the others go on."""
        words("斗拱")  # loads a dictionary, whose seconds would be the first chunker's
        return [self._cut(label, chunker) for label, chunker in self.chunkers().items()]

    def _cut(self, label: str, chunker: Any) -> Cut:
        made = origin(chunker)
        size = made.params.get("size") if made else None
        technique = made.technique if made else type(chunker).__name__
        chunks: list[list[Chunk]] = []
        error, began = "", time.perf_counter()
        try:
            for document in self.documents:
                chunks.append(list(chunker.chunk(document)))
        except DougongError as problem:
            error = str(problem)
        seconds = time.perf_counter() - began
        found: Counter[str] = Counter()
        for document, some in zip(self.documents, chunks):
            found.update(violations(document, some, size if isinstance(size, int) else None))
        return Cut(label, technique, chunks, size if isinstance(size, int) else None, seconds, found, error)

    # ------------------------------------------------------------ documents

    def _file(self, path: Path) -> Document:
        from dougong import make

        document: Document = make("loader.files").load(path)
        return attrs.evolve(document, id=path.name)

    def _stored(self, most: int) -> Iterator[Document]:
        """The libraries' documents, read from their sources: what `sync` would read."""
        from dougong_retriever_library.walk import walk

        if not self.libraries:
            raise ConfigError(
                w("the config has no library"),
                place=self.assembly.tree.place,
                hint=w("name one: library: {use: retriever.library, sources: [docs/]}"),
            )
        count = self.total = 0
        for name, plan in self.libraries.items():
            loader = self.assembly.part(f"{name}.loader")
            found = walk(plan.values["sources"], plan.values["ignore"], plan.values["path"], loader.suffixes, {})
            self.total += len(found.stale)
            self.failed += [(source, reason) for _, source, reason in found.failed]
            for file in sorted(found.stale):
                if count == most:
                    break
                try:
                    document = loader.load(file.path)
                except LoadError as problem:
                    self.failed.append((file.source, problem.message))
                    continue
                count += 1
                yield attrs.evolve(document, id=file.id, source=file.source)
        if not count:
            raise ConfigError(w("the library has no document that can be read"), hint=w("check its sources"))


def violations(document: Document, chunks: Sequence[Chunk], size: int | None) -> Counter[str]:
    """What breaks the contract of chunkers, each with how often."""
    text, found = document.text, Counter[str]()
    covered = bytearray(len(text))
    before, ids = 0, set[str]()
    for chunk in chunks:
        start, end = chunk.span.start, chunk.span.end
        found["a chunk of another document"] += chunk.document != document.id
        found["a chunk that is not the text of its span"] += not (0 <= start <= end) or text[start:end] != chunk.text
        found["a chunk that is blank"] += not chunk.text.strip()
        found["two chunks of one id"] += chunk.id in ids
        found["a chunk that begins before the one before it"] += start < before
        if size is not None:
            found["a chunk larger than its size that does not say so"] += chunk.tokens > size and not chunk.oversize
        ids.add(chunk.id)
        before = start
        if 0 <= start <= end <= len(text):
            covered[start:end] = b"\1" * (end - start)
    left = "".join(char for char, there in zip(text, covered) if not there)
    found["text that is in no chunk"] += bool(left.strip())
    return +found
