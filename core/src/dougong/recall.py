"""What a run remembers of itself: finished calls and outside values are read back from the journal, new ones written.

A call's key is its path, with ``~n`` for the n-th further attempt that middleware makes. Its request's hash is
verified: a run that asks something else at the same place has `Diverged`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dougong import errors
from dougong.codec import digest, from_data, to_data
from dougong.errors import CallError, Cancelled, Diverged, DougongError, Place
from dougong.journal import Journal
from dougong.messages import t
from dougong.types import Answer, Delta, Result, ToolResult

if TYPE_CHECKING:
    from dougong.run import Call, Run

Items = Iterator[Delta | Result]


class Recall:
    """The journal as a run sees it. Without a journal, every call is simply made."""

    def __init__(self, journal: Journal | None, replay: bool) -> None:
        self._journal, self._replay = journal, replay
        self._attempts: dict[str, int] = {}

    @property
    def replaying(self) -> bool:
        return self._replay

    def items(self, call: Call, inner: Callable[[Call], Items], run: Run) -> Items:
        """What `call` yields: read back if it is finished, else made and written down."""
        journal = self._journal
        if journal is None:
            yield from inner(call)
            return
        key = self._key(call)
        arguments = to_data(dict(call.arguments))
        request = digest([call.kind, call.name, arguments])
        past = journal.get("intent", key)
        if past is not None and past["request"] != request:
            raise self._diverged(call, key, past, arguments)
        result = journal.get("result", key)
        if result is not None:
            yield from self._again(result, key)
            return
        if self._replay:
            raise Diverged(
                t("the journal holds no {kind} call at {path}", kind=call.kind, path=key),
                place=Place(str(journal.path)),
                technique=call.name,
                hint=t("resume the run instead of replaying it"),
            )
        if past is not None and call.effect == "write" and not self._allowed(call, key, run):
            refusal = ToolResult(
                t("It is not known whether this call was carried out; it was not repeated."), error=True
            )
            yield self._finish(journal, key, [Result(refusal)])
            return
        journal.write(
            {"e": "intent", "at": key, "t": time.time(), "kind": call.kind, "name": call.name, "effect": call.effect,
             "request": request, "arguments": arguments},
            sync=call.effect == "write",
        )  # fmt: skip
        yield from self._live(journal, key, inner(call))

    def _live(self, journal: Journal, key: str, source: Items) -> Items:
        data: list[Any] = []
        start = time.perf_counter()
        end: dict[str, Any] = {}
        try:
            for item in source:
                data.append(to_data(item))
                yield from_data(data[-1])
        except Exception as error:
            if isinstance(error, Cancelled):
                raise  # not finished: a resumed run makes the call again
            end = {"error": _error_data(error)}
            raise
        except GeneratorExit:
            end = {"cut": True}
            raise
        except BaseException:
            raise
        else:
            end = {"done": True}
        finally:
            if end:
                milliseconds = round((time.perf_counter() - start) * 1e3, 3)
                journal.write({"e": "result", "at": key, "t": time.time(), "ms": milliseconds, "items": data, **end})

    def _again(self, result: dict[str, Any], key: str) -> Items:
        for data in result["items"]:
            yield from_data(data)
        if "error" in result:
            raise _error(result["error"])
        if "cut" in result:
            raise Diverged(t("the run reads on where it once stopped, at {path}", path=key))

    def _finish(self, journal: Journal, key: str, items: list[Result]) -> Result:
        journal.write({"e": "result", "at": key, "t": time.time(), "ms": 0, "items": to_data(items), "done": True})
        return items[0]

    def _allowed(self, call: Call, key: str, run: Run) -> bool:
        """Ask before a write is tried again that may have been done. An answer allows one attempt."""
        assert self._journal is not None
        number = self._journal.count(key)
        question = t("{name} may already have been carried out. Do it again?", name=call.name)
        answer = self.value(f"{key}!{number}", "answer", lambda: run.put(question, ("yes", "no")))
        return bool(answer == "yes")

    def inside(self, call: Call) -> list[Call]:
        """Finished calls made directly inside `call`, if `call` is finished itself and will be read back."""
        journal = self._journal
        if journal is None or journal.get("result", self._key(call, peek=True)) is None:
            return []
        past = []
        for key in journal.inside(call.path):
            line = journal.get("intent", key)
            if line is not None and journal.get("result", key) is not None:
                past.append(type(call)(key, line["kind"], line["name"], from_data(line["arguments"]), line["effect"]))
        return past

    def value(self, key: str, what: str, function: Callable[[], Any]) -> Any:
        """An outside value: read back, or taken and written down."""
        journal = self._journal
        if journal is None:
            return function()
        past = journal.get("value", key)
        if past is None:
            if self._replay:
                raise Diverged(t("the journal holds no {what} at {path}", what=what, path=key))
            data = to_data(function())
            journal.write({"e": "value", "at": key, "t": time.time(), "what": what, "value": data})
            return from_data(data)
        if past["what"] != what:
            raise Diverged(t("at {path} the run took {old}, now it takes {new}", path=key, old=past["what"], new=what))
        return from_data(past["value"])

    def end(self, answer: Answer) -> None:
        """The last line of the journal. A replay that ends otherwise than the run did has diverged."""
        journal = self._journal
        if journal is None:
            return
        data = to_data(answer)
        if journal.ended is None:
            journal.write({"e": "end", "t": time.time(), "answer": data}, sync=True)
        elif digest(journal.ended["answer"]) != digest(data):
            raise Diverged(t("the run ended with another answer"), place=Place(str(journal.path)))

    def _key(self, call: Call, *, peek: bool = False) -> str:
        attempt = self._attempts.get(call.path, 0)
        if not peek:
            self._attempts[call.path] = attempt + 1
        return f"{call.path}~{attempt}" if attempt else call.path

    def _diverged(self, call: Call, key: str, past: dict[str, Any], arguments: Any) -> Diverged:
        assert self._journal is not None
        old = f"{past['kind']} {past['name']}" if (past["kind"], past["name"]) != (call.kind, call.name) else ""
        new = f"{call.kind} {call.name}" if old else ""
        if not old:
            changed = [name for name in arguments if past["arguments"].get(name) != arguments[name]]
            old = t("with {names} as they were", names=", ".join(changed))
            new = t("with other {names}", names=", ".join(changed))
        return Diverged(
            t("at {path} the run made {old}, now it makes {new}", path=key, old=old, new=new),
            place=Place(str(self._journal.path)),
            technique=call.name,
            hint=t("resume with the config that began it, or start a new run"),
        )


def _error_data(error: Exception) -> dict[str, Any]:
    fields = {name: getattr(error, name, "") for name in ("hint", "path", "technique", "distribution")}
    message = error.message if isinstance(error, DougongError) else str(error)
    return {"type": type(error).__name__, "message": message, **{k: v for k, v in fields.items() if isinstance(v, str)}}


def _error(data: dict[str, Any]) -> Exception:
    """The error that a finished call ended with; one that is not dougong's comes back as a CallError that names it."""
    fields = {name: data.get(name, "") for name in ("hint", "path", "technique", "distribution")}
    cls = getattr(errors, data["type"], None)
    if isinstance(cls, type) and issubclass(cls, DougongError):
        return cls(data["message"], **fields)
    return CallError(f"{data['type']}: {data['message']}", **fields)
