"""A run that is killed, interrupted or cancelled at any event goes on from its journal, and ends as if nothing was."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from dougong import Cancelled
from dougong.journal import Journal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHILD = Path(__file__).with_name("journal_child.py")
_spec = importlib.util.spec_from_file_location("faults_journal_child", CHILD)
child = importlib.util.module_from_spec(_spec)
sys.modules["faults_journal_child"] = child
_spec.loader.exec_module(child)

RICH = [
    ["llm", "a", 3, 2],
    ["value"],
    ["write", "w"],
    [
        "par",
        [[["llm", "p", 2, 9], ["write", "v"]], [["read", "q"], ["search", "s", [["llm", "n", 3, 1], ["fail", "f"]]]]],
    ],
    ["child", "helper.x", [["mid", "m", 2], ["search", "t", [["par", [[["read", "u"]], [["write", "z"]]]]]]]],
    ["turns", "k"],
    ["fail", "e"],
    ["llm", "end", 2, 9],
]

names = st.sampled_from("abc")
leaves = st.one_of(
    st.tuples(st.just("llm"), names, st.integers(0, 3), st.integers(1, 5)).map(list),
    st.tuples(st.just("mid"), names, st.integers(1, 2)).map(list),
    st.tuples(st.sampled_from(["read", "write", "fail", "turns"]), names).map(list),
    st.just(["value"]),
)


def _nested(programs):
    return st.one_of(
        st.tuples(st.just("search"), names, programs).map(list),
        st.tuples(st.just("par"), st.lists(programs, max_size=3)).map(list),
        st.tuples(st.just("child"), names, programs).map(list),
    )


programs = st.recursive(
    st.lists(leaves, max_size=3),
    lambda inner: st.lists(st.one_of(leaves, _nested(inner)), min_size=1, max_size=4),
    max_leaves=8,
)


def state(path):
    """Keys that a resumed run must not do again: ended calls and taken values; and writes that may have been done."""
    journal = Journal(path, fsync=False)
    try:
        ended = {key for key in journal.keys("result") if key not in journal.loose}
        unclear = {key for key in journal.keys("intent") if key not in journal.keys("result")}
        return ended, unclear
    finally:
        journal.close()


def say(word, asked):
    def ask(question, choices):
        asked.append(question)
        return word

    return ask


def check_resumed(program, path, whole, word="yes"):
    """Resume; what was finished is not done again, a write only once asked for; the end is the unbroken run's."""
    ended, unclear = state(path)
    asked = []
    answer, world, counts = child.go(program, path, ask=say(word, asked))
    again = [(kind, key) for kind, key in world.done if kind != "value" and key in ended]
    assert not again
    twice = [key for kind, key in world.done if kind == "write" and key in unclear]
    assert len(twice) <= (len(asked) if word == "yes" else 0)
    assert not [key for (kind, key), n in Counter(world.done).items() if n > 1 and kind != "value"]
    if word == "yes" or not asked:
        assert answer == whole[0]
        assert sorted(counts.calls) == sorted(whole[2].calls)
        assert counts.pieces == whole[2].pieces
    check_replay(program, path, answer, counts)


def check_replay(program, path, answer, counts):
    """Again with nothing but the journal: same answer, same counts, nothing done, not a byte written."""
    before = path.read_bytes()
    again, world, recounted = child.go(program, path, replay=True)
    assert again == answer
    assert world.done == []
    assert (sorted(recounted.calls), recounted.pieces) == (sorted(counts.calls), counts.pieces)
    assert path.read_bytes() == before


def broken_at_lines(program, inside):
    """Cut the journal of an unbroken run behind each line, and inside each; resume every time."""
    with tempfile.TemporaryDirectory() as folder:
        path, part = Path(folder) / "run.jsonl", Path(folder) / "part.jsonl"
        whole = child.go(program, path)
        data = path.read_bytes()
        check_replay(program, path, whole[0], whole[2])
        start = 0
        for number, line in enumerate(data.splitlines(keepends=True)):
            for offset in {start, start + 1 + inside % len(line)}:
                part.write_bytes(data[:offset])
                check_resumed(program, part, whole, "no" if (number + inside) % 4 == 0 else "yes")
            start += len(line)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.integers(0, 400))
def test_histories_broken_anywhere_are_resumed(program, inside):
    broken_at_lines(program, inside)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.integers(0, 400))
def test_a_thousand_histories_broken_anywhere_are_resumed(program, inside):
    broken_at_lines(program, inside)


@pytest.mark.slow
def test_a_journal_torn_at_every_byte_is_resumed(tmp_path):
    path, part = tmp_path / "run.jsonl", tmp_path / "part.jsonl"
    whole = child.go(RICH, path)
    data = path.read_bytes()
    for offset in range(len(data) + 1):
        part.write_bytes(data[:offset])
        check_resumed(RICH, part, whole)


class Stop(KeyboardInterrupt):
    pass


def stop_at(number, how):
    heard = 0

    def listen(event, run):
        nonlocal heard
        heard += 1
        if heard == number:
            if how == "cancel":
                run.cancel()
            elif not isinstance(event.data.get("error"), GeneratorExit):  # Python drops what is raised in a finalizer
                raise Stop
        listen.heard = heard

    return listen


def interrupted_everywhere(program, how, every=1):
    with tempfile.TemporaryDirectory() as folder:
        heard = stop_at(0, how)
        whole = child.go(program, Path(folder) / "whole.jsonl", listener=heard)
        for number in range(1, heard.heard + 1, every):
            path = Path(folder) / f"{number}.jsonl"
            try:
                answer, _, _ = child.go(program, path, listener=stop_at(number, how))
            except (Stop, Cancelled):
                check_resumed(program, path, whole)
            else:
                assert answer == whole[0]  # the last event


@pytest.mark.parametrize("how", ["cancel", "ctrl-c"])
def test_a_run_stopped_at_any_event_is_resumed(how):
    """Also in the middle of a stream, which an interruption closes as a pattern does that has heard enough."""
    interrupted_everywhere(RICH, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cancel", "ctrl-c"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(program=programs)
def test_histories_stopped_at_any_event_are_resumed(how, program):
    interrupted_everywhere(program, how)


# ---------------------------------------------------------------- processes that are really killed


def start(root, die_at=0, how="after", word="yes"):
    environment = {**os.environ, "DIE_AT": str(die_at), "DIE_HOW": how, "SAY": word}
    done = subprocess.run(
        [sys.executable, str(CHILD), str(root)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (0, -9), done.stderr
    return json.loads(done.stdout) if done.returncode == 0 else None


def world(root):
    file = root / "world"
    return [tuple(line.split(" ", 1)) for line in file.read_text().splitlines()] if file.exists() else []


def fresh(root, program):
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    (root / "program.json").write_text(json.dumps(program))
    return root


def killed(tmp_path, program, points, hows):
    whole = start(fresh(tmp_path / "whole", program))
    for number in points:
        for how in hows:
            root = fresh(tmp_path / "killed", program)
            if start(root, number, how) is not None:
                return
            ended, _ = state(root / "run.jsonl")
            before = len(world(root))
            start(root, 2, how)  # and once more, early in the resumed run
            resumed = start(root)
            assert resumed == whole
            done = world(root)
            assert not [key for kind, key in done[before:] if kind not in ("value", "asked") and key in ended]
            writes = Counter(key for kind, key in done if kind == "write")
            assert sum(writes.values()) - len(writes) <= sum(kind == "asked" for kind, _ in done)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_process_is_resumed(tmp_path):
    killed(tmp_path, [["llm", "a", 3, 2], ["write", "w"], ["par", [[["read", "r"]], [["write", "v"]]]]], [8], ["half"])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_process_killed_at_every_event_is_resumed(tmp_path):
    killed(tmp_path, RICH, range(1, 1000), ["before", "half", "after"])


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("word", ["no", "yes"])
def test_a_write_that_may_have_been_done_is_asked_for_every_time(tmp_path, word):
    """Killed in the write; killed in it again once that was allowed: a second crash asks again, a "no" is final."""
    root = fresh(tmp_path / "w", [["write", "w"]])
    number = 4  # header, the value of the middleware, the intent; the fourth is the result
    assert start(root, number, "before") is None
    assert [kind for kind, _ in world(root)] == ["write"]
    again = start(root, 3, "before", word)  # the answer, the second intent, the second result
    if word == "no":
        assert start(root, word=word) is not None
        assert [kind for kind, _ in world(root)] == ["write", "asked"]
    else:
        assert again is None
        assert [kind for kind, _ in world(root)] == ["write", "asked", "write"]
        assert start(root, word=word) is not None
        assert [kind for kind, _ in world(root)] == ["write", "asked", "write", "asked", "write"]
