"""What a run remembers of itself: finished calls and outside values are read back from the journal, new ones written.

A call's key is its path, with ``~n`` for the n-th further attempt that middleware makes. Its request's hash is
verified: a run that asks something else at the same place has `Diverged`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from dougong.call import Call
from dougong.codec import digest, from_data, to_data
from dougong.errors import CallError, Cancelled, Diverged, Place
from dougong.failures import error_data, error_from
from dougong.journal import Journal, JournalError
from dougong.messages import t
from dougong.secret import Scrubber
from dougong.transcript import Transcript
from dougong.types import Answer, Delta, Result, ToolResult

if TYPE_CHECKING:
    from dougong.run import Run

Items = Iterator[Delta | Result]


class Recall:
    """The journal as a run sees it. Without a journal, every call is simply made."""

    def __init__(self, journal: Journal | None, replay: bool) -> None:
        self._journal, self._replay = journal, replay
        self._attempts: dict[str, int] = {}
        self._met: set[str] = set()
        self._cut: set[str] = set()
        self._transcript = Transcript()

    @property
    def replaying(self) -> bool:
        return self._replay

    def key(self, call: Call) -> str:
        """The key of this attempt at `call`."""
        attempt = self._attempts.get(call.path, 0)
        self._attempts[call.path] = attempt + 1
        return f"{call.path}~{attempt}" if attempt else call.path

    def items(self, call: Call, key: str, inner: Callable[[Call], Items], run: Run) -> Items:
        """What `call` yields: read back if it is finished, else made and written down."""
        journal = self._journal
        if journal is None:
            yield from inner(call)
            return
        arguments, request = self._transcript.write(call, key)
        past = journal.get("intent", key)
        if past is not None and past["request"] != request:
            raise self._diverged(call, key, past, to_data(dict(call.arguments)))
        value = journal.get("value", key)
        if value is not None:
            raise self._other(key, value["what"], f"{call.kind} {call.name}", call.name)
        result = self._finished(key)
        if result is not None:
            yield from self._again(result, key, call.path)
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
        yield from self._live(journal, key, _scrubbed(inner(call)))

    def _live(self, journal: Journal, key: str, source: Generator[Delta | Result, None, None]) -> Items:
        """Make the call, and write its end down: before a result is handed on, after the last piece of a stream.

        What was cancelled, or stopped by the journal, is not finished: a resumed run makes the call again.
        """
        data: list[Any] = []
        start = time.perf_counter()
        end: dict[str, Any] = {}
        single = False
        try:
            for item in source:
                data.append(to_data(item))
                single = isinstance(item, Result)
                if single:
                    break
                yield from_data(data[-1])
            end = {"done": True}
        except (Cancelled, Diverged, JournalError):
            raise
        except Exception as error:
            end = {"error": error_data(error)}
            raise error_from(end["error"]) from error
        except GeneratorExit:
            end = {"cut": True}
            raise
        finally:
            source.close()
            if end and not journal.closed:
                milliseconds = round((time.perf_counter() - start) * 1e3, 3)
                journal.write({"e": "result", "at": key, "t": time.time(), "ms": milliseconds, "items": data, **end})
        if single:
            yield from_data(data[-1])

    def _finished(self, key: str) -> dict[str, Any] | None:
        """The call's end. A stream that was closed, with no sign that its reader went on, is none: it may have been an
        interruption that closed it."""
        assert self._journal is not None
        if key in self._journal.loose and not self._replay:
            return None
        return self._journal.get("result", key)

    def _again(self, result: dict[str, Any], key: str, path: str) -> Items:
        self._met.add(key)
        last = len(result["items"]) - 1 if "cut" in result else -1
        for index, data in enumerate(result["items"]):
            if index == last:
                self._cut.add(path)
            yield from_data(data)
        if "error" in result:
            raise error_from(result["error"])
        if "cut" in result:
            raise Diverged(t("the run reads on where it once stopped, at {path}", path=key))

    def _finish(self, journal: Journal, key: str, items: list[Result]) -> Result:
        journal.write({"e": "result", "at": key, "t": time.time(), "ms": 0, "items": to_data(items), "done": True})
        return items[0]

    def _allowed(self, call: Call, key: str, run: Run) -> bool:
        """Ask before a write is tried again that may have been done. An answer allows one attempt."""
        assert self._journal is not None
        number, path = self._journal.count(key), self._journal.path
        question = t("{name} may already have been carried out. Do it again?", name=call.name)

        def put() -> str:
            try:
                return run.put(question, ("yes", "no"))
            except CallError as error:  # for a pattern, a CallError is the tool's own failure: it would go on
                raise JournalError(
                    error.message, place=Place(str(path)), technique=call.name, hint=t("resume it on a terminal")
                ) from error

        answer = self.value(f"{key}!{number}", "answer", put)
        return bool(answer == "yes")

    def inside(self, key: str) -> list[Call]:
        """Finished calls made inside the call `key`, if it is finished itself and will be read back."""
        journal = self._journal
        if journal is None or self._finished(key) is None:
            return []
        past = []
        for inner in journal.inside(key):
            line = journal.get("intent", inner)
            if line is not None and journal.get("result", inner) is not None:
                arguments = from_data(line["arguments"])
                past.append(Call(inner, line["kind"], line["name"], arguments, line["effect"]))
        return past

    def cut(self, call: Call) -> bool:
        """Whether `call` was read back to where its reader once closed it."""
        return call.path in self._cut

    def value(self, key: str, what: str, function: Callable[[], Any]) -> Any:
        """An outside value: read back, or taken and written down."""
        journal = self._journal
        if journal is None:
            return function()
        call = journal.get("intent", key)
        if call is not None:
            raise self._other(key, f"{call['kind']} {call['name']}", what)
        past = journal.get("value", key)
        if past is None:
            if self._replay:
                raise Diverged(t("the journal holds no {what} at {path}", what=what, path=key))
            data = to_data(function())
            journal.write({"e": "value", "at": key, "t": time.time(), "what": what, "value": data})
            return from_data(data)
        if past["what"] != what:
            raise self._other(key, past["what"], what)
        return from_data(past["value"])

    def end(self, answer: Answer) -> Answer:
        """The last line of the journal. A run that ends otherwise than it did has diverged."""
        journal = self._journal
        if journal is None:
            return answer
        data = to_data(answer)
        if self._replay:
            self._check_all_was_made(journal)
        if journal.ended is None:
            journal.write({"e": "end", "t": time.time(), "answer": data}, sync=True)
        elif digest(journal.ended["answer"]) != digest(data):
            raise Diverged(t("the run ended with another answer"), place=Place(str(journal.path)))
        ended: Answer = from_data(data)
        return ended

    def fail(self, error: BaseException) -> None:
        """Write down that an error ended the run. It is not at its end: it can be resumed."""
        journal = self._journal
        if journal is None or self._replay or journal.closed or isinstance(error, JournalError):
            return
        with suppress(JournalError):  # the run's own error is the news
            journal.write({"e": "failed", "t": time.time(), "error": error_data(error)})

    def _check_all_was_made(self, journal: Journal) -> None:
        for key in journal.keys("result"):
            line = journal.get("intent", key)
            if key not in self._met and line is not None:
                raise self._other(key, f"{line['kind']} {line['name']}", t("its end"), line["name"])

    def _other(self, key: str, old: str, new: str, technique: str = "") -> Diverged:
        assert self._journal is not None
        return Diverged(
            t("at {path} the run made {old}, now it makes {new}", path=key, old=old, new=new),
            place=Place(str(self._journal.path)),
            technique=technique,
            hint=t("resume with the config that began it, or start a new run"),
        )

    def _diverged(self, call: Call, key: str, past: dict[str, Any], arguments: Any) -> Diverged:
        if (past["kind"], past["name"]) != (call.kind, call.name):
            return self._other(key, f"{past['kind']} {past['name']}", f"{call.kind} {call.name}", call.name)
        changed = [name for name in arguments if past["arguments"].get(name) != arguments[name]]
        old = t("with {names} as they were", names=", ".join(changed))
        return self._other(key, old, t("with other {names}", names=", ".join(changed)), call.name)


def _scrubbed(source: Items) -> Generator[Delta | Result, None, None]:
    """`source` without secrets, also where one is spelled out over several deltas."""
    scrubber = Scrubber()
    try:
        for item in source:
            if isinstance(item, Delta):
                text = scrubber.piece(item.text, last=bool(item.finish))
                item = item if text == item.text else attrs.evolve(item, text=text)
            yield item
        if rest := scrubber.piece("", last=True):
            yield Delta(rest)
    finally:
        if isinstance(source, Generator):
            source.close()
