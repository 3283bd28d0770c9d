"""The failure of them all."""

from __future__ import annotations

from collections.abc import Sequence

from dougong import CallError, DougongError


class AllFailed(CallError):
    """Every model of a fallback failed. Names each with its reason.

    Attributes:
        errors: what each model failed with, in order.
        kind: that of the last one, if it has one, else empty.
        retry_after: the shortest wait in seconds that one of them asked for; None if none did.
    """

    def __init__(self, failed: Sequence[tuple[str, Exception]]) -> None:
        reasons = "; ".join(f"{name}: {reason(error)}" for name, error in failed)
        last = failed[-1][1]
        super().__init__(f"all {len(failed)} models failed: {reasons}", hint=getattr(last, "hint", ""))
        self.errors = tuple(error for _, error in failed)
        self.kind: str = getattr(last, "kind", "")
        waits = [wait for error in self.errors if (wait := getattr(error, "retry_after", None)) is not None]
        self.retry_after: float | None = min(waits, default=None)


def reason(error: Exception) -> str:
    """Kind and message of a failure, in one line."""
    kind = getattr(error, "kind", "") or type(error).__name__
    return f"{kind}, {error.message if isinstance(error, DougongError) else error}"
