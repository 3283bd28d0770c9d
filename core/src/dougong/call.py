"""A call that a run makes, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dougong.chat import Delta, Result


@attrs.frozen
class Call:
    """One call on its way through middleware.

    Attributes:
        path: where in the run: branch and position. ``2.0`` is the first call made inside the third; ``1[3].0`` the
            first of the fourth branch that `Run.parallel` made; ``4/writer.0`` the first of a child run.
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
