"""The journal of a run: one append-only file of JSON lines that is trace, bill, replay and checkpoint in one.

Line 1 is a header with the format's version ``v``. Then, for each call, an ``intent`` before and a ``result`` after;
for each value taken from outside (clock, randomness, a person), a ``value``; at last an ``end``, or where an error
ended the run a ``failed``, after which it can be resumed. Each line survives the process; it is fsynced before a write
tool is called and at the end, so that it survives the machine.
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dougong.blobs import dump, put_back, set_aside
from dougong.codec import to_data
from dougong.errors import Place, StoreError
from dougong.locks import lock_file, sync_folder
from dougong.messages import t
from dougong.transcript import whole

VERSION = 1
EVENTS = ("intent", "result", "value")


class JournalError(StoreError):
    """The journal itself failed: never how a call ended, so never written down as that."""


class Journal:
    """A journal open for writing; what it already holds can be looked up by key. Safe to share between threads.

    Attributes:
        header: the first line.
        ended: the last line of a run that came to its end, else None.
        loose: keys of calls that a resumed run makes again: streams that were closed before their end, and in a run
            that failed, calls that failed, where nothing shows that the run went on after that.
    """

    def __init__(self, path: Path, header: Mapping[str, Any] | None = None, *, fsync: bool = True) -> None:
        """Open `path`, made with `header` if it is new; else read it, and go on writing at its end.

        Raises StoreError: another process writes it, it is damaged, of a newer version, or cannot be written.
        """
        self.path, self._fsync = path, fsync
        self.header: dict[str, Any] = {}
        self.ended: dict[str, Any] | None = None
        self.loose: set[str] = set()
        self._raised: set[str] = set()
        self._by_kind: dict[str, dict[str, dict[str, Any]]] = {"intent": {}, "result": {}, "value": {}}
        self._begun: Counter[str] = Counter()
        self._inside: dict[str, dict[str, None]] = {}
        self._failed: JournalError | None = None
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b", buffering=0)
        except OSError as error:
            raise _cannot(path, error) from error
        try:
            if not lock_file(self._file):
                message = t("another process writes this journal")
                raise StoreError(message, place=Place(str(path)), hint=t("wait for it, or start a run of your own"))
            good = 0
            with path.open("rb") as file:
                for line, good in _lines(file, path):  # noqa: B007  the end of the last good line
                    self._take(line)
            self._file.truncate(good)
            if not self.header:
                self.write({"v": VERSION, "created": time.time(), **to_data(header or {})}, sync=True)
                if fsync:
                    sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise

    @property
    def closed(self) -> bool:
        return self._file.closed

    def get(self, event: str, key: str) -> dict[str, Any] | None:
        """The line of kind `event` (``intent result value``) with `key`; None if there is none."""
        line = self._by_kind[event].get(key)
        if line is None:
            return None
        line = _fetched(line, self.path)
        return _whole(line, self.path, self._written) if event == "intent" else line

    def _written(self, key: str) -> dict[str, Any]:
        """A call's arguments as they stand in the file."""
        arguments: dict[str, Any] = _fetched(self._by_kind["intent"][key], self.path)["arguments"]
        return arguments

    def keys(self, event: str) -> list[str]:
        """Keys of the lines of kind `event`, in order."""
        return list(self._by_kind[event])

    def count(self, key: str) -> int:
        """How often the call `key` was begun."""
        return self._begun.get(key, 0)

    def inside(self, key: str) -> list[str]:
        """Keys of the calls made directly inside the call `key`, branches and children included, in order."""
        return list(self._inside.get(key, ()))

    def write(self, line: Mapping[str, Any], *, sync: bool = False) -> None:
        """Append a line. Raises JournalError when it cannot, and from then on: what was written before stays good."""
        with self._lock:
            if self._failed is not None:
                raise self._failed
            if self.closed:
                raise JournalError(t("the journal is closed"), place=Place(str(self.path)))
            try:
                short = {key: set_aside(value, self.path, self._fsync) for key, value in line.items()}
                self._append(dump(short, keep=("e", "at", "request")))
                if sync and self._fsync:
                    os.fsync(self._file.fileno())
            except OSError as error:
                self._failed = _cannot(self.path, error)
                raise self._failed from error
            self._take(short)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _append(self, data: bytes) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:  # a torn line must not come to stand before another
            with suppress(OSError):
                self._file.truncate(end)
            raise

    def _take(self, line: dict[str, Any]) -> None:
        event, at = line.get("e"), line.get("at", "")
        if event is None:
            self.header = line
        elif event == "end":
            self.ended = line
            self.loose.clear()
        elif event == "failed":
            self.loose |= self._raised
        elif event in self._by_kind:
            self._by_kind[event][at] = line
            if event == "intent":
                self._begun[at] += 1
                self._by_kind["result"].pop(at, None)  # the call is made anew
                self.loose.discard(at)
                self._raised.discard(at)
                if "~" not in at.rpartition(".")[2]:
                    self._inside.setdefault(_enclosing(at), {})[at] = None
            if event == "result" and "error" in line:
                self._raised.add(at)  # it may be what the call around it failed with: that one's end shows nothing
            elif event == "result" and "cut" in line:
                self.loose.add(at)
            else:
                for keys in (self.loose, self._raised):
                    keys -= {key for key in keys if _goes_on(key, at, event == "result")}


def _enclosing(key: str) -> str:
    """The call that the call `key` is made in, outside the branches and children between; empty at the top."""
    parts = key.split(".")[:-1]
    while parts and ("[" in parts[-1] or "/" in parts[-1]):
        parts.pop()
    return ".".join(parts)


def _goes_on(left_off: str, at: str, result: bool) -> bool:
    """Whether an event at `at` shows that who made the call `left_off` went on after it.

    It does if it comes from the same place or one around it: from a later step there, or as the result of the call
    that it was made in. Other branches show nothing, nor do values that middleware takes around a call.
    """
    left, right = left_off.split("."), at.split(".")
    for one, other in zip(left, right, strict=False):
        if one != other:
            return _step(one) < _step(other)
    return result and len(right) < len(left)


def _step(part: str) -> list[int]:
    """Position and attempt of a part of a path, without branch, child or mark: 1, 2 for ``1~2^``."""
    return [int(number) for number in re.split(r"[\[/^!]", part, maxsplit=1)[0].split("~")]


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of a journal, blobs put back, without locking: of a run that goes on, what there is so far.

    Raises StoreError where there is no such journal, or it is damaged or newer.
    """
    try:
        with path.open("rb") as file:
            arguments: dict[str, dict[str, Any]] = {}
            for line, _ in _lines(file, path):
                line = _fetched(line, path)
                if line.get("e") == "intent":
                    line = _whole(line, path, arguments.__getitem__)
                    arguments[line["at"]] = line["arguments"]
                yield line
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
            if not isinstance(line, dict) or (number > 1 and not _is_event(line)):
                raise ValueError
        except ValueError:
            line = None
        if number == 1 and (line is None or "v" not in line) and not _torn_header(raw):
            raise StoreError(t("this is no journal"), place=Place(str(path), 1), hint=t("name another file"))
        if not raw.endswith(b"\n"):
            return
        if line is None:
            cure = t("restore it, or start a new run")
            raise StoreError(t("the journal is damaged"), place=Place(str(path), number), hint=cure)
        if number == 1 and line["v"] != VERSION:
            message = t("the journal has version {have}; this dougong reads {ours}", have=line["v"], ours=VERSION)
            raise StoreError(message, place=Place(str(path), 1), hint=t("upgrade dougong, or name another file"))
        end += len(raw)
        yield line, end


def _is_event(line: dict[str, Any]) -> bool:
    return isinstance(line.get("e"), str) and (line["e"] not in EVENTS or isinstance(line.get("at"), str))


def _torn_header(raw: bytes) -> bool:
    return not raw.endswith(b"\n") and raw[:5] == b'{"v":'[: len(raw)]


def _fetched(line: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        return {key: put_back(value, path) for key, value in line.items()}
    except (OSError, ValueError) as error:
        message = t("a value of the journal is missing")
        raise JournalError(message, place=Place(str(path)), hint=t("keep the folder with its journal")) from error


def _whole(line: dict[str, Any], path: Path, written: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    """An intent with the arguments that the call had."""
    try:
        return {**line, "arguments": whole(line["arguments"], written)}
    except KeyError as error:
        message = t("the journal is damaged")
        raise JournalError(message, place=Place(str(path)), hint=t("restore it, or start a new run")) from error


def _cannot(path: Path, error: OSError) -> JournalError:
    full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    hint = t("free some space, then resume") if full else t("check the folder and its permissions")
    reason = error.strerror or str(error)
    return JournalError(t("cannot write the journal: {reason}", reason=reason), place=Place(str(path)), hint=hint)
