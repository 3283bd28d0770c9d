"""Tasks and their results as lines of JSON, in ASCII: paths hold what no other encoding carries."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from dougong_retriever_library.rows import Packed
from dougong_retriever_library.stages import Done, Failed, Task
from dougong_retriever_library.store import Stored
from dougong_retriever_library.walk import Found


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
    ]
    return json.dumps([result.hash.hex(), result.mtime_ns, said, result.keep_text])


def result_from(line: str) -> Done | Failed | None:
    said = json.loads(line)
    if said is None or isinstance(said, str):
        return None if said is None else Failed(said)
    digest, mtime_ns, packed, keep_text = said
    if packed is not None:
        text, meta, tree, rows = packed
        packed = Packed(text, meta, b64decode(tree), [(*row, bytes.fromhex(signature)) for *row, signature in rows])
    return Done(bytes.fromhex(digest), mtime_ns, packed, keep_text)
