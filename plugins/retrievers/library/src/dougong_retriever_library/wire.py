"""Stages as an order to build them; tasks and their results as lines of JSON, in ASCII: paths hold what no other
encoding carries."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dougong import make
from dougong.origin import recipe

from dougong_retriever_library.rows import Packed
from dougong_retriever_library.stages import Done, Failed, Stages, Task
from dougong_retriever_library.store import Store, Stored
from dougong_retriever_library.walk import Found


def order_to(stages: Stages, store: Path) -> dict[str, Any] | None:
    """What `order_from` makes equal stages of; None for those that have to stay: see `dougong.origin.recipe`."""
    loader, chunker = recipe(stages.loader), recipe(stages.chunker)
    if loader is None or chunker is None:
        return None
    return {
        "loader": loader,
        "chunker": chunker,
        "index": stages.prepare_chunk and recipe(stages.index),
        "prints": [stages.load_by, stages.chunk_by],
        "max_megabytes": stages.max_megabytes,
        "store": str(store.absolute()),
    }


def order_from(order: Mapping[str, Any]) -> Stages:
    """Raises what building the parts raises."""
    loader, chunker, index = (order[part] and make(order[part]) for part in ("loader", "chunker", "index"))
    documents = Store(Path(order["store"])).document
    return Stages(loader, chunker, *order["prints"], order["max_megabytes"], documents, index)


def task_to(task: Task) -> str:
    return json.dumps([task.file, task.known and task.known._replace(hash=task.known.hash.hex())])  # type: ignore[arg-type]


def task_from(line: str) -> Task:
    file, known = json.loads(line)
    known = known and Stored(*known)
    return Task(Found(*file), known and known._replace(hash=bytes.fromhex(known.hash)))


def result_to(result: Done | Failed | None) -> str:
    match result:
        case None:
            return "null"
        case Failed(reason):
            return json.dumps(reason)
    packed = result.packed
    said = packed and [
        packed.text,
        packed.meta,
        b64encode(packed.tree).decode(),
        [[*row, signature.hex()] for *row, signature in packed.rows],
        packed.prepared,
    ]
    return json.dumps([result.hash.hex(), result.mtime_ns, said, result.keep_text])


def result_from(line: str) -> Done | Failed | None:
    said = json.loads(line)
    if said is None or isinstance(said, str):
        return None if said is None else Failed(said)
    digest, mtime_ns, packed, keep_text = said
    if packed is not None:
        text, meta, tree, rows, prepared = packed
        rows = [(*row, bytes.fromhex(signature)) for *row, signature in rows]
        packed = Packed(text, meta, b64decode(tree), rows, prepared)
    return Done(bytes.fromhex(digest), mtime_ns, packed, keep_text)
