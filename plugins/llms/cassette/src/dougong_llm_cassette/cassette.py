"""The recorder: which answer belongs to which request, and when the model itself is asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dougong import BuildError, CallError, Delta, Message, Place, Sampling, StoreError, Tool
from dougong.codec import digest, from_data, to_data
from dougong.run import active_run

from dougong_llm_cassette import Params
from dougong_llm_cassette.nearest import difference, nearest
from dougong_llm_cassette.tape import Tape, scrubbed, scrubbed_stream

_KEPT = ("hint", "kind", "status", "retry_after")  # of an error: what retry and fallback decide by


class Cassette:
    """A chat model recorded, or its recording.

    A request's key is the SHA-256 of its model, messages, tools, schema and sampling, secrets scrubbed. The n-th time
    that a run makes the same request it gets what was recorded as the n-th; runs begin anew, calls outside a run share
    one count. Deltas are replayed as they came; so is the failure that a model ended with, and a reply that its reader
    closed ends there.
    """

    def __init__(self, params: Params) -> None:
        self._of, self._mode = params.of, params.mode
        if params.mode == "replay" and not params.path.exists():
            raise StoreError("there is no cassette", place=Place(str(params.path)), hint="record it with mode: record")
        self._tape = Tape(params.path)
        self.model = params.model or self._model(params)
        self._outside: Counter[str] = Counter()
        self._lock = threading.Lock()

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """The recorded reply, or the model's.

        Raises CallError for a request that is not recorded, naming the nearest and its first difference; the
        recorded failure, a CallError of the same class name, `kind`, `status` and `retry_after`; StoreError.
        """
        request = scrubbed(
            {"model": self.model, "messages": _steady(to_data(messages)), "tools": to_data(tools),
             "schema": to_data(schema), "sampling": to_data(sampling)}
        )  # fmt: skip
        key = digest(request)
        turn = self._turn(key)
        entry = None if self._mode == "record" else self._tape.get(key, turn)
        if self._mode == "replay":
            yield from self._replayed(entry or self._missed(request, key, turn))
        elif entry is not None and entry["end"] == "done":
            yield from self._replayed(entry)
        else:
            yield from self._recorded({"key": key, "turn": turn, "request": request}, messages, tools, schema, sampling)

    # ------------------------------------------------------------ replay

    def _replayed(self, entry: Mapping[str, Any]) -> Iterator[Delta]:
        try:
            deltas = [from_data(delta) for delta in entry["deltas"]]
        except (KeyError, TypeError) as error:
            raise StoreError(f"a recorded delta cannot be read: {error}", place=Place(str(self._tape.path))) from error
        yield from deltas
        if entry["end"] == "cut":
            raise CallError("the recording ends here: its reader had closed the reply", hint="record it again")
        if entry["end"] != "done":
            raise _error(entry["end"])

    def _missed(self, request: Any, key: str, turn: int) -> Any:
        entries = self._tape.entries()
        same = [(line, entry) for line, entry in entries if entry["key"] == key]
        hint = "record it with mode: record, or mode: auto"
        path = str(self._tape.path)
        if same:
            lines = ", ".join(str(line) for line, _ in same)
            raise CallError(
                f"the cassette holds this request {len(same)} times (line {lines}); this is time {turn + 1}",
                place=Place(path, same[-1][0]), hint=hint,
            )  # fmt: skip
        found = nearest(request, entries)
        if found is None:
            raise CallError("the cassette is empty", place=Place(path), hint=hint)
        line, entry = found
        raise CallError(
            f"the cassette does not hold this request; the nearest differs at {difference(entry['request'], request)}",
            place=Place(path, line), hint=hint,
        )  # fmt: skip

    # ------------------------------------------------------------ recording

    def _recorded(self, entry: dict[str, Any], *request: Any) -> Iterator[Delta]:
        assert self._of is not None  # as Params has checked
        deltas: list[Any] = []
        end: Any = None
        try:
            for delta in self._of.chat(*request):
                deltas.append(to_data(delta))
                yield from_data(deltas[-1])  # what a replay gives, lists for tuples and all
            end = "done"
        except GeneratorExit:
            end = "cut"
            raise
        except CallError as error:
            kept = {name: getattr(error, name, None) for name in _KEPT}
            end = {"error": type(error).__name__, "message": error.message, **{k: v for k, v in kept.items() if v}}
            raise
        finally:
            if end is not None:  # a cancelled call and a fault of the code are no answers
                self._tape.append({**entry, "deltas": scrubbed_stream(deltas), "end": scrubbed(end)})

    def _turn(self, key: str) -> int:
        run = active_run()
        with self._lock:
            counts = self._outside if run is None else run.memory(self, Counter)
            counts[key] += 1
            return int(counts[key]) - 1

    def _model(self, params: Params) -> str:
        name = getattr(params.of, "model", "")
        if params.of is not None:
            return name if isinstance(name, str) else ""
        names = sorted({entry["request"].get("model", "") for _, entry in self._tape.entries()})
        if len(names) > 1:
            raise BuildError(
                f"the cassette holds requests to several models: {', '.join(names)}", hint="say which by 'model'"
            )
        return names[0] if names else ""


def _steady(data: Any) -> Any:
    """Messages with numbers of six digits: scores of passages differ in their last bits from machine to machine."""
    if isinstance(data, float):
        return float(f"{data:.6g}")
    if isinstance(data, list):
        return [_steady(item) for item in data]
    return {key: _steady(item) for key, item in data.items()} if isinstance(data, dict) else data


def _error(end: Mapping[str, Any]) -> CallError:
    """The failure as recorded. Its class is not imported, only called the same: `llm.fallback` goes by names."""
    error: CallError = type(end["error"], (CallError,), {})(end["message"])
    for name in _KEPT:
        if name in end:
            setattr(error, name, end[name])
    return error
