"""Conversations on disk: a file a session, one JSON line a turn, appended and never rewritten.

The first line is ``{"v": 1, "session": name}``; then ``{"turn": id, "user": ..., "assistant": ...}`` and
``{"turn": id, "summary": ..., "turns": n}``, a summary of the first n turns.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dougong import Place, Secret, StoreError

VERSION = 1
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")


class Conversations:
    """The files below `folder`. Safe between threads and between processes: an append holds the file's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, session: str) -> Path:
        """The file of `session`: its name where that is a plain one, else what is left of it and a hash."""
        if _PLAIN.fullmatch(session):
            return self._folder / f"{session}.jsonl"
        plain = re.sub(r"\W+", "-", session)[:40].strip("-")
        return self._folder / f"{plain}.{hashlib.sha256(session.encode('utf-8', 'replace')).hexdigest()[:16]}.jsonl"

    def load(self, session: str) -> list[dict[str, Any]]:
        """The lines of `session` after the first, oldest first; none for one that is new. Raises StoreError."""
        path = self.path(session)
        try:
            with path.open("rb") as file:
                return [line for line, _ in _lines(file, path)][1:]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _cannot("read", path, error) from error

    def append(self, session: str, line: Mapping[str, Any]) -> None:
        """Write `line` at the end, once: a line of this turn and kind that is there already stays the only one.

        On disk when it returns. A half-written line at the end (a process died, the disk was full) is taken away
        first. Raises StoreError; what was written before stays good.
        """
        path = self.path(session)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file, _locked(file):
                file.seek(0)
                end, known = 0, set[tuple[str, bool]]()
                for past, end in _lines(file, path):  # noqa: B007  the end of the last whole line
                    known.add((past.get("turn", ""), "summary" in past))
                if (line["turn"], "summary" in line) in known:
                    return
                file.truncate(end)
                data = b"" if end else _dump({"v": VERSION, "session": session})
                file.write(data + _dump(line))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _cannot("write", path, error) from error


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Whole lines, each with the offset behind it; a torn last line is left out."""
    end = 0
    for number, raw in enumerate(file, 1):
        try:
            line = json.loads(raw)
            if not raw.endswith(b"\n") or not isinstance(line, dict):
                raise ValueError
        except ValueError:
            if file.read(1):
                hint = "mend or remove the line, or name another session"
                raise StoreError("the conversation is damaged", place=Place(str(path), number), hint=hint) from None
            return
        if number == 1 and line.get("v") != VERSION:
            message = f"the conversation has version {line.get('v')!r}; this plugin reads {VERSION}"
            raise StoreError(
                message, place=Place(str(path), 1), hint="upgrade dougong-pattern-chat, or use another path"
            )
        end += len(raw)
        yield line, end


def _dump(line: Mapping[str, Any]) -> bytes:
    text = Secret.scrub(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    return (text + "\n").encode("utf-8", "replace")


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """Waits for its turn; the lock goes with the file's closing, and with its process."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 30)  # beyond the content, so that readers are not locked out
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            file.seek(1 << 30)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cannot(what: str, path: Path, error: OSError) -> StoreError:
    hint = "free some space" if error.errno == 28 else "check the folder and its permissions"
    return StoreError(f"cannot {what} the conversation: {error.strerror or error}", place=Place(str(path)), hint=hint)
