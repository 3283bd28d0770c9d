"""A local plugin with one small technique of most kinds: what the tests of the frame assemble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs
from dougong import (
    LLM,
    Answer,
    Block,
    Builder,
    Chunk,
    Chunker,
    Delta,
    Hit,
    Index,
    Library,
    Retriever,
    Secret,
    Span,
    SyncReport,
    Technique,
    Tokenizer,
    Tool,
    ToolResult,
    Usage,
    hookimpl,
    report,
    slot,
)

CLOSED: list[str] = []
"""Names of what was closed, in order."""


class Router(Block, Protocol):
    """A block narrowed: it also says where to go."""

    def route(self) -> int: ...


# ---------------------------------------------------------------- params


@attrs.frozen
class NoParams:
    """None."""


@attrs.frozen
class Limits:
    """low, high: a nested value."""

    low: int = 1
    high: int = attrs.field(default=9)

    @high.validator
    def _above(self, attribute: Any, value: int) -> None:
        if value < self.low:
            raise ValueError("must be at least low; raise it")


def _smaller(instance: Any, attribute: Any, value: int) -> None:
    if value >= instance.size:
        raise ValueError("must be smaller than size; make it 0")


@attrs.frozen
class CutParams:
    """size, overlap: characters; the rest: one of each type that a param can have."""

    size: int = attrs.field(default=8, validator=attrs.validators.ge(1))
    overlap: int = attrs.field(default=0, validator=_smaller)
    ratio: float = 0.5
    strip: bool = True
    unit: Literal["characters", "words"] = "characters"
    label: str = "cut"
    title: str | None = None
    most: int | None = None
    width: int | str = 3
    separators: list[str] = attrs.field(factory=lambda: ["\n", " "])
    pair: tuple[int, str] | None = None
    weights: dict[str, float] = attrs.field(factory=dict)
    extra: Any = None
    limits: Limits = attrs.field(factory=Limits)
    folder: Path = Path("cache")
    tokenizer: Tokenizer | None = None


@attrs.frozen
class FlatParams:
    """chunker: how texts are cut; texts: what is indexed."""

    texts: list[str] = attrs.field(factory=list)
    chunker: Chunker = slot("cut", size=100)


@attrs.frozen
class FusionParams:
    """of: retrievers whose hits are joined."""

    of: list[Retriever]
    k: int = 10


@attrs.frozen
class NamedParams:
    """of: retrievers by name."""

    of: dict[str, Retriever]


@attrs.frozen
class KeeperParams:
    """index: what holds chunks; a plain retriever does not."""

    index: Index


@attrs.frozen
class EchoParams:
    """key: as of a remote model; reply: what it says."""

    key: Secret | None = None
    reply: str = "yes"
    url: str = "http://127.0.0.1"


@attrs.frozen
class AskParams:
    """retriever, llm: what it asks; tools: what the model may call."""

    llm: LLM
    retriever: Retriever | None = None
    tools: list[Tool] = attrs.field(factory=list)
    prompt: str = "answer: ${{task}}"


@attrs.frozen
class RewriteParams:
    """of: what searches; llm: rewrites the query, and may call `tool` on the way."""

    of: Retriever
    llm: LLM
    tool: Tool


@attrs.frozen
class StackParams:
    """layer: made anew for each of `depth` layers; router: a narrowed part."""

    layer: Builder[Block]
    depth: int = 3
    router: Router | None = None


@attrs.frozen
class FailParams:
    """how: what goes wrong while it is built; key: must not show; part: is built before."""

    how: str = "raise"
    key: Secret | None = None
    part: Chunker | None = None


@attrs.frozen
class LayerParams:
    """mark: what it adds to a reply."""

    mark: str = ""


# ---------------------------------------------------------------- factories


class _Closes:
    def __init__(self, params: Any) -> None:
        self.params = params

    def close(self) -> None:
        CLOSED.append(type(self).__name__)


class Letters:
    def __init__(self, params: Any) -> None:
        self.params = params

    def offsets(self, text: str) -> Any:
        return [(i, i + 1) for i in range(len(text))]

    def count(self, text: str) -> int:
        return len(text)


class Cut(_Closes):
    def chunk(self, document: Any) -> Iterator[Chunk]:
        size = self.params.size
        for start in range(0, len(document.text), size):
            span = Span(start, min(start + size, len(document.text)))
            yield Chunk(Chunk.name(document.id, span), document.id, span.of(document.text), span)


class Flat(_Closes):
    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        found = [text for text in self.params.texts if query in text]
        return [Hit(Chunk(text, "d", text, Span(0, len(text))), 1.0) for text in found][:k]


class Held(Flat):
    def add(self, chunks: Iterable[Chunk]) -> None: ...
    def delete(self, ids: Iterable[str]) -> None: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None: ...


class Endless(Flat):
    """A library whose sync never ends: for Ctrl-C."""

    def sync(self) -> SyncReport:
        import time

        for done in range(10_000):
            report("reading", done, 10_000)
            time.sleep(0.01)
        return SyncReport()


class Fusion(_Closes):
    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        members = self.params.of.values() if isinstance(self.params.of, dict) else self.params.of
        return [hit for member in members for hit in member.search(query, k, where)][:k]


class Keeper(_Closes):
    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return self.params.index.search(query, k, where)  # type: ignore[no-any-return]


class Echo(_Closes):
    """Says its reply letter by letter; a reply ``call NAME`` calls the tool offered under that name."""

    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Iterator[Delta]:
        for letter in self.params.reply:
            yield Delta(letter)
        yield Delta(finish="stop", usage=Usage(len(messages), len(self.params.reply)))


class Adder:
    name = "adder"
    description = "adds a and b"
    parameters: Mapping[str, Any] = {"type": "object"}
    effect = "read"

    def __init__(self, params: Any) -> None:
        pass

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        if "a" not in arguments:
            raise ValueError("no a")
        return ToolResult(str(arguments["a"] + arguments["b"]))


class Rewrite(_Closes):
    """Asks the model for a query, calls the tool for a number, and searches with both."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        word = ""
        for delta in self.params.llm.chat([]):
            if delta.text == "+":  # in the middle of the stream
                word += self.params.tool.call({"a": 1, "b": 2}).text
            else:
                word += delta.text
        return self.params.of.search(word, k, where)  # type: ignore[no-any-return]


class Ask:
    def __init__(self, params: Any) -> None:
        self.params = params

    def run(self, task: str, run: Any) -> Answer:
        hits = self.params.retriever.search(task) if self.params.retriever else []
        for tool in self.params.tools:
            tool.call({"a": 1, "b": 2})
        text = "".join(delta.text for delta in self.params.llm.chat([]))
        return Answer(f"{text} ({len(hits)})")


class Layer:
    def __init__(self, params: Any, config: Any = None, layer_idx: Any = None) -> None:
        self.params, self.config, self.layer_idx = params, config, layer_idx

    def forward(self, hidden: Any, **kwargs: Any) -> Any:
        return hidden


class Routed(Layer):
    def route(self) -> int:
        return 0


class Stack:
    def __init__(self, params: Any) -> None:
        self.layers = [params.layer("config", index) for index in range(params.depth)]
        self.router = params.router

    def build(self) -> Any:
        return self.layers


def fail(params: Any) -> Any:
    if params.how == "exit":
        raise SystemExit(3)
    if params.how == "nothing":
        return object()
    if params.how == "import":
        import a_module_that_is_not_there  # noqa: F401
    if params.how == "secret":
        raise RuntimeError(f"bad key {params.key.reveal()}")
    raise RuntimeError("no luck")


class Mark:
    """Middleware that puts its mark around what passes."""

    def __init__(self, params: Any) -> None:
        self.params = params

    def around(self, call: Any, proceed: Any) -> Iterator[Any]:
        if call.kind == "llm":
            yield Delta(f"<{self.params.mark}")
        yield from proceed(call)
        if call.kind == "llm":
            yield Delta(f"{self.params.mark}>")


class Unit:
    dim = 2

    def __init__(self, params: Any) -> None:
        pass

    def embed(self, texts: Any, role: str = "passage") -> Any:
        return [(1.0, 0.0)] * len(texts)


def _technique(name: str, params: type, factory: str, protocol: type | None = None) -> Technique:
    return Technique(name, params, f"{__name__}:{factory}", "A fake.", "none", protocol)


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return [_technique("letters", NoParams, "Letters")]


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        _technique("cut", CutParams, "Cut"),
        _technique("fail", FailParams, "fail"),
        _technique("lost", NoParams, "Lost"),
    ]


@hookimpl
def dougong_embedders() -> list[Technique]:
    return [_technique("unit", NoParams, "Unit")]


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        _technique("flat", FlatParams, "Flat"),
        _technique("held", FlatParams, "Held", Index),
        _technique("joined", FusionParams, "Fusion"),
        _technique("named", NamedParams, "Fusion"),
        _technique("keeper", KeeperParams, "Keeper"),
        _technique("rewrite", RewriteParams, "Rewrite"),
        _technique("endless", FlatParams, "Endless", Library),
    ]


@hookimpl
def dougong_llms() -> list[Technique]:
    return [_technique("echo", EchoParams, "Echo")]


@hookimpl
def dougong_tools() -> list[Technique]:
    return [_technique("adder", NoParams, "Adder")]


@hookimpl
def dougong_patterns() -> list[Technique]:
    return [_technique("ask", AskParams, "Ask")]


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [_technique("layer", LayerParams, "Layer"), _technique("routed", LayerParams, "Routed", Router)]


@hookimpl
def dougong_networks() -> list[Technique]:
    return [_technique("stack", StackParams, "Stack")]


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [_technique("mark", LayerParams, "Mark")]
