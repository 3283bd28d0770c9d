"""The journal as a file, and a run that it is read back into."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dougong import (
    LLM,
    Answer,
    CallError,
    Cancelled,
    Delta,
    Diverged,
    Retriever,
    Secret,
    StoreError,
    Tool,
    ToolResult,
    Usage,
)
from dougong.journal import Journal, JournalError, read
from dougong.proxies import proxied
from dougong.run import Run, active_run
from dougong.tools import tool

Make = Callable[..., Any]


class Model:
    """Says a word a piece; counts how often it is asked."""

    def __init__(self, words: str = "one two three") -> None:
        self.words, self.asked = words.split(), 0

    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Iterator[Delta]:
        self.asked += 1
        for word in self.words:
            yield Delta(word)
        yield Delta(finish="stop", usage=Usage(1, 3, money=0.1))


class Act:
    """A tool that does `what`."""

    name = description = "act"

    def __init__(self, what: Callable[[], Any], effect: str = "read") -> None:
        self.what, self.effect, self.done = what, effect, 0
        self.parameters: dict[str, Any] = {}

    def call(self, arguments: Any) -> ToolResult:
        self.done += 1
        return ToolResult(str(self.what()))


class Inside:
    """A retriever that reads two words of a model and passes over a failing tool."""

    def __init__(self, llm: Any, failing: Any) -> None:
        self.llm, self.failing = llm, failing

    def search(self, query: str, k: int = 10, where: Any = None) -> list[Any]:
        for index, _ in enumerate(self.llm.chat([])):
            if index == 1:
                break
        with suppress(LookupError):
            self.failing.call({})
        run = active_run()
        assert run is not None
        run.parallel([lambda: list(self.llm.chat([]))] * 2)
        return []


def go(path: Path, work: Callable[[Run], Any], **options: Any) -> Any:
    journal = Journal(path)
    try:
        run = Run(journal=journal, **options)
        with run.active():
            return work(run)
    finally:
        journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


# ---------------------------------------------------------------- resume and replay


def test_calls_inside_a_finished_retriever_are_counted_again(path: Path) -> None:
    """Streams closed early, errors that were caught and branches included; nothing is called."""
    model = Model()

    def failing() -> None:
        raise KeyError("k")

    library = proxied(Retriever, Inside(proxied(LLM, model, "llm"), proxied(Tool, Act(failing), "act")), "library")
    seen = []

    def work(run: Run) -> Answer:
        library.search("q")
        seen.append(sorted((r.call.path, type(r.error).__name__, len(r.items)) for r in run.records))
        return run.end(Answer("a", usage=run.usage))

    one, two = go(path, work), go(path, work, replay=True)
    assert one == two
    assert seen[0] == seen[1]
    assert model.asked == 3
    assert ("0.0", "GeneratorExit", 2) in seen[0]


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError("k"), FileNotFoundError(2, "gone"), CallError("c", hint="h")]
)
def test_an_error_is_the_same_live_and_read_back(path: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    act = Act(fail)

    def work(run: Run) -> Any:
        with pytest.raises(type(error)) as caught:
            proxied(Tool, act, "act").call({})
        return type(caught.value), str(caught.value), caught.value.args

    assert go(path, work) == go(path, work) == (type(error), str(error), error.args)
    assert act.done == 1


def test_an_error_of_a_stranger_is_a_call_error_live_and_read_back(path: Path) -> None:
    class Strange(Exception):
        pass

    def fail() -> None:
        raise Strange("odd")

    def work(run: Run) -> str:
        with pytest.raises(CallError) as caught:
            proxied(Tool, Act(fail), "act").call({})
        return str(caught.value)

    assert go(path, work) == go(path, work)


def test_a_changed_pattern_diverges_and_both_are_named(path: Path) -> None:
    llm, act = proxied(LLM, Model(), "main.llm"), proxied(Tool, Act(lambda: 1), "act")

    def first(run: Run) -> None:
        list(llm.chat(["a"]))
        run.now()
        act.call({})
        run.end(Answer("x"))

    go(path, first)
    size = path.stat().st_size
    changed: list[tuple[Callable[[Run], Any], str]] = [
        (lambda run: act.call({}), "made llm main.llm, now it makes tool act"),
        (lambda run: list(llm.chat(["b"])), "messages as they were"),
        (lambda run: run.now(), "made llm main.llm, now it makes now"),
        (lambda run: (list(llm.chat(["a"])), act.call({})), "made now, now it makes tool act"),
        (lambda run: (list(llm.chat(["a"])), run.now(), act.call({"x": 1})), "arguments"),
        (lambda run: (list(llm.chat(["a"])), run.now(), act.call({}), run.end(Answer("y"))), "another answer"),
    ]
    for work, words in changed:
        with pytest.raises(Diverged, match=re.escape(words)):
            go(path, work)
    with pytest.raises(Diverged, match="made tool act, now it makes its end"):
        go(path, lambda run: (list(llm.chat(["a"])), run.now(), run.end(Answer("x"))), replay=True)
    assert path.stat().st_size == size


def test_a_divergence_inside_a_call_does_not_become_its_result(path: Path) -> None:
    inner = Act(lambda: 1)
    question = ["a"]

    def ask() -> str:
        list(proxied(LLM, Model(), "llm").chat(list(question)))
        raise KeyboardInterrupt

    outer = proxied(Tool, Act(ask), "outer")
    for words, error in (("a", KeyboardInterrupt), ("b", Diverged), ("a", KeyboardInterrupt)):
        question[:] = [words]
        with pytest.raises(error):
            go(path, lambda run: outer.call({}))
    assert inner.done == 0


def test_a_stream_cancelled_in_the_middle_is_read_again(path: Path) -> None:
    model = Model()

    def cancelled(run: Run) -> None:
        for _ in proxied(LLM, model, "llm").chat([]):
            run.cancel()

    with pytest.raises(Cancelled):
        go(path, cancelled)
    words = go(path, lambda run: [d.text for d in proxied(LLM, model, "llm").chat([])])
    assert words == ["one", "two", "three", ""]


def test_a_result_that_came_is_kept_though_the_run_was_cancelled_meanwhile(path: Path) -> None:
    def work(run: Run) -> Any:
        act = Act(lambda: run.cancel() or "sent", "write")
        return proxied(Tool, act, "send").call({}).text

    with pytest.raises(Cancelled):
        go(path, work)
    assert go(path, lambda run: proxied(Tool, Act(lambda: 1, "write"), "send").call({}).text) == "sent"


def test_nobody_to_ask_means_no_second_write(path: Path) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    act = Act(die, "write")
    for error in (KeyboardInterrupt, StoreError):  # no CallError: a pattern would tell the model and go on
        with pytest.raises(error):
            go(path, lambda run: proxied(Tool, act, "send").call({}))
    assert act.done == 1


class Flaky:
    """A model that fails until it is mended."""

    def __init__(self) -> None:
        self.asked, self.mended = 0, False

    def chat(self, messages: Any, *rest: Any, **options: Any) -> Iterator[Delta]:
        self.asked += 1
        yield Delta("well, ")
        if not self.mended:
            raise CallError("no connection")
        yield Delta("yes", finish="stop")


class Steps:
    """A pattern: a model, a tool whose failure it deals with, and a retriever that asks the flaky model."""

    def __init__(self) -> None:
        self.model, self.flaky, self.tool = Model(), Flaky(), Act(lambda: 1 / 0)
        asking = proxied(LLM, self.flaky, "flaky")

        class Asks:
            def search(self, query: str, k: int = 10, where: Any = None) -> list[Any]:
                return [len(list(asking.chat([])))]

        self.asks = Asks()

    def run(self, task: str, run: Run) -> Answer:
        list(proxied(LLM, self.model, "model").chat([]))
        with suppress(ArithmeticError):
            proxied(Tool, self.tool, "tool").call({})
        found = run.parallel([lambda: proxied(Retriever, self.asks, "asks").search("x")] * 2)
        return Answer(str(found))


def test_a_run_that_a_call_made_fail_tries_that_call_again_when_resumed(path: Path) -> None:
    """And only that: what had ended well, and a failure that the run went on after, are read back."""
    pattern = Steps()
    for _ in range(2):
        with pytest.raises(CallError, match="no connection"):
            go(path, lambda run: run.work(pattern, "try"))
    assert pattern.flaky.asked == 4
    with pytest.raises(CallError, match="no connection"):
        go(path, lambda run: run.work(pattern, "try"), replay=True)
    assert pattern.flaky.asked == 4
    pattern.flaky.mended = True
    assert go(path, lambda run: run.work(pattern, "try")).text == "[[2], [2]]"
    assert (pattern.model.asked, pattern.tool.done, pattern.flaky.asked) == (1, 1, 6)
    assert go(path, lambda run: run.work(pattern, "try"), replay=True).text == "[[2], [2]]"


def test_money_is_the_same_in_whatever_order_calls_end() -> None:
    from dougong.call import Call, Record

    sums = set()
    records = [
        Record(Call(str(i), "llm", "m", {}), (Delta(usage=Usage(money=m)),), None, 0.0)
        for i, m in enumerate([0.1, 0.2, 0.3, 1e9, 1e-9])
    ]
    for turn in range(5):
        run = Run()
        run.records.extend(records[turn:] + records[:turn])
        sums.add(run.usage.money)
    assert len(sums) == 1


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stop", [True, False])
def test_a_secret_that_a_model_spells_out_is_nowhere(
    path: Path, size: int, stop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes in pieces; what the run sees is what it would see when replayed."""
    monkeypatch.setattr(Secret, "_known", ())
    Secret("open sesame")
    spoken = "o op opopen open sesame, open sesam"

    class Spell:
        def chat(self, messages: Any, *rest: Any, **options: Any) -> Iterator[Delta]:
            yield from (Delta(spoken[at : at + size]) for at in range(0, len(spoken), size))
            if stop:
                yield Delta(finish="stop")

    def work(run: Run) -> list[str]:
        heard = [delta.text for delta in proxied(LLM, Spell(), "llm").chat([])]
        return [*heard, run.end(Answer("".join(heard))).text]

    heard = go(path, work)
    assert heard == go(path, work, replay=True)
    assert heard[-1] == "o op opopen ***, open sesam"


# ---------------------------------------------------------------- the file


def test_a_torn_last_line_is_left_out_and_written_over(path: Path) -> None:
    journal = Journal(path)
    journal.write({"e": "value", "at": "0", "t": 0, "what": "x", "value": 1})
    journal.close()
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        journal = Journal(path)
        assert journal.get("value", "0") is None
        journal.write({"e": "value", "at": "0", "t": 0, "what": "x", "value": 1})
        journal.close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"no": 1}', b'{"e":"intent"}', b"\xff"])
def test_a_damaged_line_in_the_middle_is_named(path: Path, line: bytes) -> None:
    Journal(path).close()
    path.write_bytes(path.read_bytes() + line + b'\n{"e":"x"}\n')
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"run\.jsonl:2: the journal is damaged"):
        Journal(path)
    with pytest.raises(StoreError, match="damaged"):
        list(read(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["a note without a newline", "two\nlines\n", '{"a": 1}', '{"a": 1}\n', "{\n}\n", "\n"])
def test_another_file_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(StoreError, match="this is no journal"):
        Journal(path)
    assert path.read_text() == text


def test_a_newer_journal_is_refused(path: Path) -> None:
    path.write_text('{"v":99}\n')
    with pytest.raises(StoreError, match="version 99"):
        Journal(path)


def test_two_processes_do_not_write_one_journal(path: Path) -> None:
    journal = Journal(path)
    code = "import sys; from pathlib import Path; from dougong.journal import Journal; Journal(Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "another process writes this journal" in done.stderr
    journal.write({"e": "value", "at": "0", "t": 0, "what": "x", "value": 1})
    journal.close()
    assert len(list(read(path))) == 2


def test_a_full_disk_is_named_and_nothing_before_it_is_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where half of a line still fits; the journal takes nothing more, so that what failed is no call's end."""
    resource = pytest.importorskip("resource")
    llm = proxied(LLM, Model(), "llm")

    def work(run: Run) -> Any:
        try:
            return [list(llm.chat([word])) for word in "abc"]
        except StoreError:
            return list(llm.chat(["d"]))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(400, 1200, 97):
        path.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(JournalError, match=r"cannot write the journal.*free some space"):
                go(path, work)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes().endswith(b"\n")
        assert len(go(path, work)) == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="check the folder"):
        Journal(tmp_path / "file" / "run.jsonl")

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(JournalError, match="Permission denied; check the folder"):
        Journal(tmp_path / "run.jsonl")


def test_a_large_value_lies_beside_and_its_loss_is_named(path: Path) -> None:
    text = "长" * 40_000
    assert go(path, lambda run: run.outside("text", lambda: text)) == text
    assert go(path, lambda run: run.outside("text", lambda: "")) == text
    assert path.stat().st_size < 1000
    (blob,) = path.with_name("run.jsonl.blobs").iterdir()
    blob.unlink()
    with pytest.raises(JournalError, match=r"missing.*keep the folder"):
        go(path, lambda run: run.outside("text", lambda: text))


def test_a_value_that_looks_like_a_reference_is_a_value(path: Path) -> None:
    value = {"$blob": "../run.jsonl"}
    assert go(path, lambda run: run.outside("x", lambda: value)) == value
    assert go(path, lambda run: run.outside("x", lambda: None)) == value


@pytest.mark.parametrize("name", ["a.b", "x[0]", "a/b", "~1", "两 个", ""])
def test_a_childs_name_does_not_disturb_paths(path: Path, name: str) -> None:
    act = Act(lambda: act.done)

    def work(run: Run) -> list[str]:
        with run.child(name):
            return [proxied(Tool, act, "act").call({}).text for _ in range(2)]

    assert go(path, work) == go(path, work) == ["1", "2"]


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "secret", ["sk-journal-47110815", '"quoted\\secret"', "密钥密钥密钥", "17953", "intent", "value"]
)
def test_a_secret_is_found_nowhere_and_breaks_nothing(path: Path, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In results, errors, requests, names, headers, large values; a secret may be a word or number of the format."""
    monkeypatch.setattr(Secret, "_known", ())
    Secret(secret)

    @tool
    def leak() -> str:
        return f"key: {secret}"

    def fail() -> None:
        raise CallError(f"bad key {secret}", hint=secret)

    def work(run: Run) -> list[str]:
        seen = proxied(Tool, leak, "leak").call({}).text
        run.outside("large", lambda: [secret, "x" * 40_000])
        with pytest.raises(CallError), run.child(secret):
            proxied(Tool, Act(fail), "act").call({secret: secret})
        list(proxied(LLM, Model(secret), "llm").chat([seen, secret]))
        return [seen, run.end(Answer(seen)).text]

    journal = Journal(path, {"task": secret})
    journal.close()
    assert go(path, work) == go(path, work, replay=True)
    strings: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            strings.append(value)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key not in ("e", "at", "request", "type", "module", "base", "kind"):
                    collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    collect([list(read(path))])
    assert not [text for text in strings if secret in text]
    if secret not in ("17953", "intent", "value"):  # words and numbers of the format itself
        for file in (path, *path.with_name("run.jsonl.blobs").iterdir()):
            data = file.read_text(encoding="utf-8")
            assert secret not in data
            assert json.dumps(secret)[1:-1] not in data
