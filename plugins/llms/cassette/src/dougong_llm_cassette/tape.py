"""The file: JSON lines that a person can read, appended whole, without secrets."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dougong import Place, Secret, StoreError

VERSION = 1


class Tape:
    """The entries of a cassette: what was answered to a request the n-th time that a run made it.

    The first line is ``{"cassette": 1}``. An entry is ``{"key", "turn", "request", "deltas", "end"}``; of two for the
    same key and turn the later counts. `append` writes a line in one piece and syncs it; a last line that a crash left
    unfinished is passed over, and taken away by the next append. For many threads of one process.

    Raises StoreError for a file of a newer version, for what is no cassette, and for a damaged line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, int], tuple[int, dict[str, Any]]] = {}
        self._lines = 0
        if path.exists():
            self._read()

    def get(self, key: str, turn: int) -> dict[str, Any] | None:
        with self._lock:
            return self._entries.get((key, turn), (0, None))[1]

    def entries(self) -> list[tuple[int, dict[str, Any]]]:
        """Every entry that counts, with its line in the file."""
        with self._lock:
            return sorted(self._entries.values(), key=lambda item: item[0])

    def append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                # O_APPEND and a single write: the line is there whole or, after a crash, visibly not.
                file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
                try:
                    size = self._drop_torn(file)
                    if size == 0:
                        line = json.dumps({"cassette": VERSION}) + "\n" + line
                        self._lines = 1
                    data = line.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its JSON escape
                    while data:
                        data = data[os.write(file, data) :]
                    os.fsync(file)
                finally:
                    os.close(file)
            except OSError as error:
                raise StoreError(
                    f"cannot be written: {error.strerror}", place=Place(str(self.path)), hint="look at disk and rights"
                ) from error
            self._lines += 1
            self._entries[entry["key"], entry["turn"]] = (self._lines, entry)

    @staticmethod
    def _drop_torn(file: int) -> int:
        """Cut off an unfinished last line; the size that is left."""
        size = os.fstat(file).st_size
        end, tail = size, b""
        while end > 0 and b"\n" not in tail:
            start = max(0, end - 65536)
            os.lseek(file, start, os.SEEK_SET)
            tail, end = os.read(file, end - start), start
        whole = end + tail.rfind(b"\n") + 1
        if whole != size:
            os.ftruncate(file, whole)
        return whole

    def _read(self) -> None:
        try:
            *lines, _torn = self.path.read_bytes().split(b"\n")
        except OSError as error:
            raise StoreError(f"cannot be read: {error.strerror}", place=Place(str(self.path))) from error
        for number, line in enumerate(lines, 1):
            try:
                data = json.loads(line)
                if number == 1:
                    self._check_version(data["cassette"])
                elif line:
                    if lacking := {"request", "deltas", "end"} - set(data):
                        raise KeyError(*lacking)
                    self._entries[data["key"], data["turn"]] = (number, data)
            except (ValueError, KeyError, TypeError) as error:
                what = "this is no cassette" if number == 1 else "this line is damaged"
                hint = "give another path" if number == 1 else "restore it, or take the line out and record again"
                raise StoreError(what, place=Place(str(self.path), number), hint=hint) from error
        self._lines = len(lines)

    def _check_version(self, version: Any) -> None:
        if type(version) is not int:
            raise TypeError("version")
        if version > VERSION:
            raise StoreError(
                f"the cassette is of version {version}; this plugin reads up to {VERSION}",
                place=Place(str(self.path), 1),
                hint="pip install --upgrade dougong-llm-cassette",
            )


def scrubbed(data: Any) -> Any:
    """JSON data without the secrets that this process has seen, in values and in free keys."""
    if isinstance(data, str):
        return Secret.scrub(data)
    if isinstance(data, list):
        return [scrubbed(item) for item in data]
    if not isinstance(data, dict):
        return data
    if "$" in data:  # one of dougong's values: its keys are fields
        return {key: item if key == "$" else scrubbed(item) for key, item in data.items()}
    return {Secret.scrub(key): scrubbed(item) for key, item in data.items()}


def scrubbed_stream(deltas: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The data of deltas without secrets, those included that a stream spreads over several deltas.

    Text that hides one is given whole by the first delta that has text, so that no piece of it is left.
    """
    found = [{**delta, **({"data": dict(delta["data"])} if "data" in delta else {})} for delta in deltas]
    holders = [(delta, "text") for delta in found if "text" in delta]
    streams = {"": holders}
    for delta in found:
        for key, value in delta.get("data", {}).items():
            if isinstance(value, str) and key != "$":
                streams.setdefault(key, []).append((delta["data"], key))
    for pieces in streams.values():
        whole = Secret.scrub("".join(holder[key] for holder, key in pieces))
        if whole != "".join(Secret.scrub(holder[key]) for holder, key in pieces):
            for number, (holder, key) in enumerate(pieces):
                holder[key] = "" if number else whole
    return [scrubbed(delta) for delta in found]
