"""The fourteen kinds: what fills a slot, as protocols. Closed; a plugin narrows a kind, it does not add one.

Torch-free and numpy-free at import: arrays and modules appear in annotations only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from dougong.types import Answer, Chunk, Delta, Document, Hit, Message, Result, Sampling, SyncReport, ToolResult

if TYPE_CHECKING:
    import numpy as np
    import torch
    import transformers

    from dougong.run import Call, Run

P_co = TypeVar("P_co", covariant=True)


class Builder(Protocol[P_co]):
    """A callable that makes a fresh part at each call: the whole subtree anew, but for what is a `ref` inside it.

    The arguments go to the technique's factory after its params. ``Builder[Block]`` is called ``(config, layer_idx)``,
    and, for what normalises something narrower than a layer, ``(config, layer_idx, width=...)``; `layer_idx` is None
    outside the layers. A builder's own slot takes no `ref`: fresh parts and one shared part exclude each other.
    Closing what a builder made is the caller's business.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> P_co: ...


# ---------------------------------------------------------------- knowledge wing


class Loader(Protocol):
    """Reads one file.

    `suffixes`: lower case, with the dot; empty if the loader tells by content.
    `load` raises `LoadError` naming the file and the cure. Lone surrogates are replaced by U+FFFD.
    `Document.id` and `source` are ``str(source)``; a library renames them.
    """

    suffixes: tuple[str, ...]

    def load(self, source: Path) -> Document: ...


class Tokenizer(Protocol):
    """Cuts text into tokens.

    `offsets`: int32 ``(n, 2)``, ascending code point offsets ``[start, end)``; what lies between tokens is white space.
    `count` equals ``len(offsets(text))``.
    """

    def offsets(self, text: str) -> np.ndarray: ...
    def count(self, text: str) -> int: ...


class Chunker(Protocol):
    """Cuts a document into chunks, in order of their start; every non-space character is in at least one chunk."""

    def chunk(self, document: Document) -> Iterator[Chunk]: ...


class Embedder(Protocol):
    """Maps texts to vectors: float32 ``(len(texts), dim)``, rows of unit length. `role` picks the prefix.

    One that knows few languages says so by an attribute `languages`, ``("en",)``: an index over it has the same, and
    what joins several leaves it out for a query in another one.
    """

    dim: int

    def embed(self, texts: Sequence[str], role: Literal["passage", "query"] = "passage") -> np.ndarray: ...


class Retriever(Protocol):
    """Finds chunks.

    `search`: at most `k` hits, best first, ties by chunk id; an empty query gives ``[]``. `where` is a metadata
    filter (`dougong.where`). Raises ValueError for ``k < 1``.
    """

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]: ...


class Index(Retriever, Protocol):
    """A retriever that holds chunks and can be grown, shrunk, saved and loaded.

    `add` replaces chunks of an id already held. `delete` passes over unknown ids. `save` writes what is derived, not
    the chunks, into an empty folder, which is never changed afterwards. `load` replaces the content by a saved one and
    takes the chunks from `chunks` (id to chunk; a library gives a lazy one), one lookup a hit; it raises `StoreError`
    where the folder is damaged, was saved with other parameters or by a newer version.
    """

    def add(self, chunks: Iterable[Chunk]) -> None: ...
    def delete(self, ids: Iterable[str]) -> None: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None: ...


class Library(Retriever, Protocol):
    """Where documents live: `sync` brings store and indexes up to date with the sources."""

    def sync(self) -> SyncReport: ...


# ---------------------------------------------------------------- agent wing


class LLM(Protocol):
    """A chat model.

    `schema` is a JSON Schema that the whole reply must satisfy. The last delta carries `usage` and `finish`.
    Raises `CallError`. Closing the iterator stops the model.
    """

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]: ...


class Tool(Protocol):
    """Something a model may call. `parameters` is a JSON Schema of an object; ``write`` changes the world outside.

    A wrong argument or a failure that the model can mend is a `ToolResult` with ``error=True``, not an exception.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    effect: Literal["read", "write"]

    def call(self, arguments: Mapping[str, Any]) -> ToolResult: ...


class Pattern(Protocol):
    """A way to work on a task with models, tools and retrievers. Holds no state of a run."""

    def run(self, task: str, run: Run) -> Answer: ...


class Middleware(Protocol):
    """Stands around every model, tool and retriever call of a run.

    A generator: yields the items of ``proceed(call)``, changed or not; may call `proceed` never, once or again.
    """

    def around(self, call: Call, proceed: Callable[[Call], Iterator[Delta | Result]]) -> Iterator[Delta | Result]: ...


# ---------------------------------------------------------------- model wing


class Block(Protocol):
    """An ``nn.Module`` made by a ``Builder[Block]`` as ``(config, layer_idx)``.

    `config` promises ``hidden_size max_position_embeddings num_hidden_layers initializer_range _attn_implementation``;
    a block reads it and never writes to it. `forward`: hidden ``(batch, length, width)`` to the same shape, always one
    tensor; what else is of interest (attention weights, router logits) passes through a named ``nn.Identity`` that
    hooks record. `past_key_values` is a ``transformers.Cache``; one cached mixer a `layer_idx`. A layer hands its
    keywords to all its parts, so every block takes ``**kwargs``. A submodule may have ``init_block(std)``, called where
    transformers initialises weights, also after building on the meta device.
    """

    def forward(
        self,
        hidden: torch.Tensor,
        *,
        attention_mask: Any = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> torch.Tensor: ...


class Network(Protocol):
    """Builds a model whose ``config.json`` carries the resolved block tree: `from_pretrained` reassembles it."""

    def build(self) -> transformers.PreTrainedModel: ...


class Cache(Protocol):
    """Makes the key-value cache of one generation."""

    def build(self, network: transformers.PreTrainedModel) -> transformers.Cache: ...


class Adapter(Protocol):
    """Changes a network so that few parameters train; `export` writes safetensors."""

    def apply(self, network: transformers.PreTrainedModel) -> transformers.PreTrainedModel: ...
    def optimizer(self, network: transformers.PreTrainedModel, lr: float) -> torch.optim.Optimizer: ...
    def merge(self, network: transformers.PreTrainedModel) -> transformers.PreTrainedModel: ...
    def export(self, network: transformers.PreTrainedModel, folder: Path) -> None: ...


class Objective(Protocol):
    """Batches, loss and metric of one training task. `loss` is a scalar, natural log; `metric` maps names to values."""

    def batches(self, split: str) -> Iterable[Mapping[str, torch.Tensor]]: ...
    def loss(self, network: transformers.PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor: ...
    def metric(self, network: transformers.PreTrainedModel, split: str) -> Mapping[str, float]: ...


KINDS: dict[str, type] = {
    "block": Block,
    "network": Network,
    "cache": Cache,
    "adapter": Adapter,
    "objective": Objective,
    "loader": Loader,
    "tokenizer": Tokenizer,
    "chunker": Chunker,
    "embedder": Embedder,
    "retriever": Retriever,
    "llm": LLM,
    "tool": Tool,
    "pattern": Pattern,
    "middleware": Middleware,
}

_BY_PROTOCOL = {protocol: kind for kind, protocol in KINDS.items()}


def kind_of(protocol: object) -> str | None:
    """The kind that a protocol is or narrows; None if it is no kind's."""
    for base in getattr(protocol, "__mro__", ()):
        if base in _BY_PROTOCOL:
            return _BY_PROTOCOL[base]
    return None


def protocol_members(protocol: type) -> frozenset[str]:
    """Names that an object must have to meet `protocol`, those of the protocols it narrows included."""
    names: set[str] = set()
    for base in protocol.__mro__:
        if base in (object, Protocol) or not getattr(base, "_is_protocol", False):
            continue
        names.update(name for name in (*vars(base), *getattr(base, "__annotations__", ())) if not name.startswith("_"))
    return frozenset(names)


def lacking(instance: object, protocol: type) -> list[str]:
    """Names that `protocol` asks for and `instance` has not. Runs no property: an embedder's `dim` may load a model."""
    return sorted(name for name in protocol_members(protocol) if not _has(instance, name))


def _has(instance: object, name: str) -> bool:
    try:
        inspect.getattr_static(instance, name)
    except AttributeError:
        return hasattr(instance, name)
    return True
