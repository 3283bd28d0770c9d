"""Every error dougong raises: one small hierarchy, each saying where it happened and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from dougong.messages import t


@attrs.frozen
class Place:
    """Where a value was written.

    Attributes:
        file: the file, or the option (``--set``), as the user typed it.
        line: counted from 1; 0 where lines mean nothing.
        column: counted from 1; 0 where columns mean nothing.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class DougongError(Exception):
    """Base of all errors below.

    Attributes:
        message: what is wrong, one sentence.
        hint: the cure; may be empty.
        path: the config path (``library.chunker.size``); may be empty.
        place: file and line; None where there is none.
        technique: full name of the technique (``chunker.fixed``); may be empty.
        distribution: the distribution that declares it, with its version; may be empty.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        path: str = "",
        place: Place | None = None,
        technique: str = "",
        distribution: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.place = place
        self.technique = technique
        self.distribution = distribution

    def __str__(self) -> str:
        head = "  ".join(part for part in (str(self.place or ""), self.path) if part)
        origin = ", ".join(part for part in (self.technique, self.distribution) if part)
        text = head + t(": ") + self.message if head else self.message
        if self.hint:
            text += t("; ") + self.hint
        return f"{text}  ({origin})" if origin else text


class ConfigError(DougongError):
    """The config is wrong. Holds *all* problems that were found, in file order."""

    def __init__(self, problems: Sequence[DougongError] | str, **where: object) -> None:
        if isinstance(problems, str):
            super().__init__(problems, **where)  # type: ignore[arg-type]
            self.problems: tuple[DougongError, ...] = (self,)
        else:
            first = problems[0]
            super().__init__(
                first.message,
                hint=first.hint,
                path=first.path,
                place=first.place,
                technique=first.technique,
                distribution=first.distribution,
            )
            self.problems = tuple(problems)

    def __str__(self) -> str:
        if self.problems == (self,):
            return super().__str__()
        return "\n".join(str(problem) for problem in self.problems)


class PluginError(DougongError):
    """A plugin cannot be used: broken at import, misdeclared, of another API version, or declared twice."""


class BuildError(DougongError):
    """A technique's factory failed, or what it built does not meet its protocol."""


class LoadError(DougongError):
    """A document cannot be read: unreadable, binary, encrypted, too large, of no known format."""


class StoreError(DougongError):
    """Something stored cannot be opened or written: locked, newer version, disk full, damaged."""


class CallError(DougongError):
    """A model, tool or retriever failed during a run."""


class Exhausted(CallError):
    """A budget ran out; the call was not made. A pattern answers with what there is, as ``stopped``.

    Attributes:
        what: which limit, ``tokens`` say.
    """

    def __init__(self, message: str, *, what: str = "", **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.what = what


class Diverged(DougongError):
    """A resumed or replayed run does something else than it did; nothing was called."""


class Cancelled(DougongError):
    """The run was cancelled by its caller."""
