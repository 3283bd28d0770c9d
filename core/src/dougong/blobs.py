"""Large values of a journal: content-addressed files beside it. And lines of JSON without secrets."""

from __future__ import annotations

import json
import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from dougong.locks import sync_folder
from dougong.types import Secret

BLOB = 32 * 1024
"""Bytes beyond which a line's value lies in a file of its own, named by its hash."""


def set_aside(value: Any, journal: Path, fsync: bool) -> Any:
    """`value`, or where it is large ``{"$blob": name}``: written, fsynced, renamed, then named in the line."""
    if not isinstance(value, (dict, list, str)) or (isinstance(value, str) and len(value) < BLOB // 4):
        return value
    data = dump(value)
    if len(data) <= BLOB:
        return value
    name = sha256(data).hexdigest()
    folder = blobs(journal)
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        if fsync:
            sync_folder(folder.parent)
    if not (folder / name).exists():
        temporary = folder / f"{name}.{os.getpid()}.{threading.get_ident()}"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if fsync:
                os.fsync(file.fileno())
        temporary.replace(folder / name)
    return {"$blob": name}


def put_back(value: Any, journal: Path) -> Any:
    """What `set_aside` was given. Raises OSError and ValueError where the file is gone or damaged."""
    if not (isinstance(value, dict) and value.keys() == {"$blob"}):
        return value
    return json.loads((blobs(journal) / value["$blob"]).read_bytes())


def blobs(journal: Path) -> Path:
    return journal.with_name(journal.name + ".blobs")


def dump(value: Any, keep: tuple[str, ...] = ()) -> bytes:
    """A line of JSON without secrets. They are taken out of the strings, not out of the line: one may be ``1234``."""
    text = _json(value)
    if Secret.scrub(text) != text:
        kept = {key: value[key] for key in keep if key in value}
        text = _json({**_scrubbed(value), **kept} if kept else _scrubbed(value))
    return (text + "\n").encode("utf-8", "surrogatepass")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return Secret.scrub(value)
    if isinstance(value, dict):
        return {key: _scrubbed(item) for key, item in value.items()}
    return [_scrubbed(item) for item in value] if isinstance(value, list) else value
