"""The journal of a run: one append-only file of JSON lines that is trace, bill, replay and checkpoint in one.

Line 1 is a header with the format's version ``v``. Then, for each call, an ``intent`` before and a ``result``
after; for each value taken from outside (clock, randomness, a person), a ``value``; at last an ``end``. Each line
is flushed, so that it survives the process; it is fsynced before a write tool is called and at the end, so that it
survives the machine.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from dougong.errors import Place, StoreError
from dougong.messages import t
from dougong.types import Secret

VERSION = 1
BLOB = 32 * 1024
"""Bytes beyond which a line's value lies in a file of its own beside the journal, named by its hash."""


class Journal:
    """A journal open for writing; what it already holds can be looked up by key. Safe to share between threads.

    Attributes:
        header: the first line.
        intents, results, values: lines by key (a call's path).
        ended: the last line of a run that came to its end, else None.
    """

    def __init__(self, path: Path, header: Mapping[str, Any] | None = None, *, fsync: bool = True) -> None:
        """Open `path`, made with `header` if it is new; else read it, and go on writing at its end.

        Raises StoreError: another process writes it, it is damaged, of a newer version, or cannot be written.
        """
        self.path, self._fsync = path, fsync
        self.header: dict[str, Any] = {}
        self.ended: dict[str, Any] | None = None
        self._by_kind: dict[str, dict[str, dict[str, Any]]] = {"intent": {}, "result": {}, "value": {}}
        self._begun: Counter[str] = Counter()
        self._inside: dict[str, dict[str, None]] = {}
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b")
        except OSError as error:
            raise _cannot(path, error) from error
        try:
            _lock_file(self._file, path)
            self._file.seek(0)
            good = 0
            for line, good in _lines(self._file, path):  # noqa: B007  the end of the last good line
                self._take(line)
            self._file.truncate(good)
            if not self.header:
                self.write({"v": VERSION, "created": time.time(), **(header or {})})
        except BaseException:
            self._file.close()
            raise

    def get(self, event: str, key: str) -> dict[str, Any] | None:
        """The line of kind `event` (``intent result value``) with `key`; None if there is none."""
        line = self._by_kind[event].get(key)
        return None if line is None else _fetched(line, self.path)

    def count(self, key: str) -> int:
        """How often the call `key` was begun."""
        return self._begun.get(key, 0)

    def inside(self, path: str) -> list[str]:
        """Keys of the calls made directly inside the call at `path`, in order."""
        return list(self._inside.get(path, ()))

    def write(self, line: Mapping[str, Any], *, sync: bool = False) -> None:
        """Append a line and flush it. Raises StoreError when it cannot; what was written before stays good."""
        with self._lock:
            try:
                data = _dump({key: self._set_aside(value) for key, value in line.items()})
                self._file.write(data)
                self._file.flush()
                if sync and self._fsync:
                    os.fsync(self._file.fileno())
            except OSError as error:
                raise _cannot(self.path, error) from error
            self._take(json.loads(data))

    def close(self) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.close()

    def _set_aside(self, value: Any) -> Any:
        """Large values as content-addressed files: written, fsynced, renamed, then named in the line."""
        if not isinstance(value, (dict, list, str)) or (isinstance(value, str) and len(value) < BLOB // 4):
            return value
        data = _dump(value)
        if len(data) <= BLOB:
            return value
        name = sha256(data).hexdigest()
        folder = _blobs(self.path)
        folder.mkdir(exist_ok=True)
        if not (folder / name).exists():
            temporary = folder / f"{name}.{os.getpid()}.{threading.get_ident()}"
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                if self._fsync:
                    os.fsync(file.fileno())
            temporary.replace(folder / name)
        return {"$blob": name}

    def _take(self, line: dict[str, Any]) -> None:
        event = line.get("e")
        if event is None:
            self.header = line
        elif event in self._by_kind:
            self._by_kind[event][line["at"]] = line
            if event == "intent":
                self._begun[line["at"]] += 1
                outer, _, _ = line["at"].rpartition(".")
                if outer and "~" not in line["at"]:
                    self._inside.setdefault(outer, {})[line["at"]] = None
        elif event == "end":
            self.ended = line


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of a journal, blobs put back, without locking: of a run that goes on, what there is so far.

    Raises StoreError where there is no such journal, or it is damaged or newer.
    """
    try:
        with path.open("rb") as file:
            for line, _ in _lines(file, path):
                yield _fetched(line, path)
    except OSError as error:
        raise StoreError(
            t("cannot read the journal: {reason}", reason=error.strerror or error),
            place=Place(str(path)),
            hint=t("check the path"),
        ) from error


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Whole lines, each with the offset behind it. A torn last line, of a process that died writing it, is left out."""
    end = 0
    for number, raw in enumerate(file, 1):
        try:
            line = json.loads(raw)
            if not raw.endswith(b"\n") or not isinstance(line, dict):
                raise ValueError
        except ValueError:
            if file.read(1):
                message = t("the journal is damaged")
                hint = t("restore it, or start a new run")
                raise StoreError(message, place=Place(str(path), number), hint=hint) from None
            return
        if number == 1 and line.get("v") != VERSION:
            if "v" not in line:
                message = t("this is no journal")
            else:
                message = t("the journal has version {have}; this dougong reads {ours}", have=line["v"], ours=VERSION)
            raise StoreError(message, place=Place(str(path), 1), hint=t("upgrade dougong, or name another file"))
        end += len(raw)
        yield line, end


def _fetched(line: dict[str, Any], path: Path) -> dict[str, Any]:
    return {key: _blob(value, path) for key, value in line.items()}


def _blob(value: Any, path: Path) -> Any:
    if not (isinstance(value, dict) and value.keys() == {"$blob"}):
        return value
    file = _blobs(path) / value["$blob"]
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        message = t("a value of the journal is missing")
        raise StoreError(message, place=Place(str(file)), hint=t("keep the folder with its journal")) from error


def _blobs(path: Path) -> Path:
    return path.with_name(path.name + ".blobs")


def _dump(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (Secret.scrub(text) + "\n").encode("utf-8", "surrogatepass")


def _lock_file(file: IO[bytes], path: Path) -> None:
    """One writer a journal; the lock goes with its process."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 30)  # beyond the content, so that readers are not locked out
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        message = t("another process writes this journal")
        raise StoreError(message, place=Place(str(path)), hint=t("wait for it, or start a run of your own")) from None


def _cannot(path: Path, error: OSError) -> StoreError:
    hint = t("free some space, then resume") if error.errno == 28 else t("check the folder and its permissions")
    return StoreError(
        t("cannot write the journal: {reason}", reason=error.strerror or error), place=Place(str(path)), hint=hint
    )
