"""Any order of add, update, delete, crash, reopen and changed stages gives what a fresh build gives (invariant 3)."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from dougong import Cancelled, Run
from dougong_retriever_bm25 import Params as BM25Params
from dougong_retriever_bm25.index import BM25
from dougong_retriever_library import library as library_module
from dougong_retriever_library import store as store_module
from dougong_retriever_library import sync as sync_module
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

NAMES = st.sampled_from(["a.md", "b.md", "sub/c.md", "sub/d.md", "文.md"])
LINES = st.sampled_from(["one\n", "two shared\n", "three three\n", "检索 增强 one\n", "shared\n", "\n", "tail"])
TEXTS = st.lists(LINES, max_size=6).map("".join)


def machine(bench_class):
    class Histories(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.root = Path(tempfile.mkdtemp())
            self.bench = bench_class(self.root)
            self.chunkers = itertools.cycle([bench_class.Pairs, bench_class.Lines])
            self.chunker = bench_class.Lines
            self.k1 = 1.5
            self.fresh = itertools.count()
            self.reopen()

        def teardown(self):
            self.equals_a_fresh_build()
            self.library.close()
            shutil.rmtree(self.root)

        def build(self, path="library"):
            index = BM25(BM25Params(k1=self.k1))
            return self.bench.library(path, index=index, chunker=self.chunker())

        @rule(name=NAMES, text=TEXTS)
        def write(self, name, text):
            self.bench.write(name, text)

        @rule(name=NAMES, line=LINES)
        def insert(self, name, line):
            path = self.bench.docs / name
            if path.exists():
                self.bench.write(name, line + path.read_text(encoding="utf-8"))

        @rule(name=NAMES)
        def delete(self, name):
            (self.bench.docs / name).unlink(missing_ok=True)

        @rule(name=NAMES)
        def touch(self, name):
            path = self.bench.docs / name
            if path.exists():
                self.bench.write(name, path.read_text(encoding="utf-8"))

        @rule()
        def sync(self):
            self.library.sync()

        @rule()
        def reopen(self):
            self.library = self.build()

        @rule()
        def other_chunker(self):
            self.chunker = next(self.chunkers)
            self.reopen()

        @rule(after=st.integers(0, 12))
        def crash(self, after):
            """Stopped at some report, in memory or on disk; what another process would find is what was committed."""
            count = itertools.count()
            run = Run(listener=lambda event: next(count) == after and run.cancel())
            try:
                with run.active():
                    self.library.sync()
            except Cancelled:
                self.reopen()

        @rule(after=st.integers(0, 12))
        def cancel(self, after):
            count = itertools.count()
            run = Run(listener=lambda event: next(count) == after and run.cancel())
            try:
                with run.active():
                    self.library.sync()
            except Cancelled:
                pass

        @precondition(lambda self: list((self.root / "library").glob("index-*")))
        @rule()
        def lose_the_index(self):
            for folder in (self.root / "library").glob("index-*"):
                shutil.rmtree(folder)
            self.reopen()

        @rule()
        def another_process_syncs(self):
            self.build().sync()

        @rule()
        def equals_a_fresh_build(self):
            path = f"fresh{next(self.fresh)}"
            fresh = self.build(path)
            self.library.sync()
            assert self.bench.content(self.library) == self.bench.content(fresh)
            fresh.close()
            shutil.rmtree(self.root / path)

    return Histories


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(sync_module, "BATCH", 0)
    monkeypatch.setattr(library_module, "PART", 2)
    monkeypatch.setattr(library_module, "SHARE", 0)
    monkeypatch.setattr(store_module, "BLOCK", 5)
    monkeypatch.setattr(store_module, "CACHED", 3)


def explore(bench, examples, steps):
    run_state_machine_as_test(
        machine(type(bench)),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_few_histories_give_what_a_fresh_build_gives(bench, small):
    explore(bench, 8, 20)


@pytest.mark.slow
def test_many_histories_give_what_a_fresh_build_gives(bench, small):
    explore(bench, 400, 40)
