"""A call that a run makes, and the record of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from dougong.chat import Delta, Result

_ATTEMPT = re.compile(r"(~\d+|\^)$")


@attrs.frozen
class Call:
    """One call on its way through middleware.

    Attributes:
        path: where in the run: branch and position. ``2.0`` is the first call made inside the third; ``1[3].0`` the
            first of the fourth branch that `Run.parallel` made; ``4/writer.0`` the first of a child run. ``2~1.0`` is
            the first made in the second attempt at ``2``; ``2^.0`` the first that middleware made around ``2``.
        kind: ``llm``, ``tool`` or ``retriever``.
        name: config path of the technique that is called.
        arguments: keyword arguments of ``chat``, ``call`` or ``search``; middleware may pass on others.
        effect: ``write`` for a tool that changes the world outside.
    """

    path: str
    kind: str
    name: str
    arguments: Mapping[str, Any]
    effect: str = "read"


@attrs.frozen
class Record:
    """A finished call: what came back, or the error that did. `seconds` is the caller's wall time."""

    call: Call
    items: tuple[Delta | Result, ...]
    error: BaseException | None
    seconds: float


def outside_of(path: str) -> Iterator[str]:
    """Paths of the calls that the call at `path` was made inside of, innermost first."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield _ATTEMPT.sub("", path)
