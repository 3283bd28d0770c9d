"""States that survive what comes after them, filters that mean what `dougong.where` means, a server if there is one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import dougong
import pytest
from dougong import CallError, Chunk, Span, StoreError
from dougong.testing import CORPUS, HashEmbedder, ScriptedLLM, chunks
from dougong_retriever_qdrant.filters import payload, translate
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import models
from qdrant_client.local.payload_filters import check_filter


def made(folder, **params):
    return dougong.make("retriever.qdrant", embedder=HashEmbedder(), path=str(folder), **params)


def chunk(id, text, **meta):
    return Chunk(id, "d", text, Span(0, len(text)), meta=meta)


def ids(hits):
    return {hit.chunk.id for hit in hits}


# ---------------------------------------------------------------- filters

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.0, 1e300, float("inf"), float("nan")]),
    st.sampled_from([2**53, 2**53 + 1, -(2**60)]), st.sampled_from(["", "a", "b", "ab", "1", "斗拱", "\ud800"]),
)  # fmt: skip
FIELDS = st.sampled_from(["page", "a.b", "x[0]", "语言", ""])
METAS = st.dictionaries(FIELDS, SCALARS | st.lists(SCALARS, max_size=3) | st.just([["nested"]]), max_size=4)
CONDITIONS = SCALARS | st.dictionaries(
    st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), SCALARS, max_size=2
) | st.fixed_dictionaries({"in": st.lists(SCALARS, max_size=3)})  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(METAS, st.dictionaries(FIELDS, CONDITIONS, max_size=2))
def test_a_translated_filter_means_the_same(meta, where):
    """On plain metadata it passes what `dougong.where` passes, and no more, but for what Qdrant cannot say."""
    stored, filter = payload(meta), translate(where)
    passes = check_filter(filter, stored, -1, {}) if filter != models.Filter() else True
    wanted = dougong.where(where)(meta)
    assert passes >= wanted
    if not stored["odd"] and sayable(where):
        assert passes == wanted


def sayable(where):
    tests = [
        test for c in where.values() for test in (c.items() if isinstance(c, dict) else [("eq", c)])
    ]  # fmt: skip
    number = [want for name, want in tests if name in ("gt", "gte", "lt", "lte")]
    plain = [want for name, want in tests for want in (want if name == "in" else [want])]
    return (
        all(isinstance(want, (int, float)) and abs(want) < 2**53 for want in number)
        and all(want == want for want in plain)
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(METAS, min_size=1, max_size=6), st.dictionaries(FIELDS, CONDITIONS, max_size=2))
def test_a_search_finds_what_meets_the_filter(tmp_path_factory, metas, where):
    index = made(tmp_path_factory.mktemp("qdrant"))
    held = [Chunk(f"c{n}", "d", CORPUS[n], Span(0, 1), meta=meta) for n, meta in enumerate(metas)]
    index.add(held)
    matches = dougong.where(where)
    assert ids(index.search("dougong", 3 * len(held), where)) == {c.id for c in held if matches(c.meta)}
    assert len(index.search("dougong", 1, where)) == min(1, sum(matches(c.meta) for c in held))


# ---------------------------------------------------------------- states


def test_what_was_saved_is_found_after_a_kill(tmp_path):
    """Killed in the middle of changes, and begun again from the last saved state: as if nothing had happened."""
    code = f"""
import dougong
from dougong.testing import HashEmbedder, chunks
from pathlib import Path
index = dougong.make("retriever.qdrant", embedder=HashEmbedder(), path={str(tmp_path / "store")!r}, batch=2)
index.add(chunks()[:6])
index.save(Path({str(tmp_path / "saved")!r}))
index.delete([chunks()[0].id])
index.add(chunks()[6:10])
print("now", flush=True)
import time; time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "now\n"
    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()
    process.stdout.close()
    held = {chunk.id: chunk for chunk in chunks()}
    index = made(tmp_path / "store")
    index.load(tmp_path / "saved", held)
    assert ids(index.search("dougong", 50)) == set(list(held)[:6])
    index.delete([chunks()[1].id])
    index.add(chunks()[7:8])
    assert ids(index.search("dougong", 50)) == {id for n, id in enumerate(held) if n in (0, 2, 3, 4, 5, 7)}


def test_many_saves_keep_the_last_two_states(tmp_path):
    """Older ones are removed from the collection now and then; their folders say so."""
    index, live, states = made(tmp_path / "store"), set(), []
    for number in range(30):
        index.add([chunk(f"c{number % 20}", f"{CORPUS[number % len(CORPUS)]} {number}")])
        live.add(f"c{number % 20}")
        if number % 3 == 2:
            index.delete([f"c{(number - 2) % 20}"])
            live.discard(f"c{(number - 2) % 20}")
        index.save(tmp_path / str(number))
        states.append(set(live))
    assert ids(index.search("dougong", 100)) == live
    other, held = made(tmp_path / "store"), {f"c{n}": chunk(f"c{n}", "x") for n in range(20)}
    for number in (28, 29):
        other.load(tmp_path / str(number), held)
        assert ids(other.search("dougong", 100)) == states[number]
    with pytest.raises(StoreError, match="index again"):
        other.load(tmp_path / "15", held)
    assert index._inner._qdrant.count("dougong").count < 30


def test_only_new_texts_are_embedded(tmp_path):
    class Counting(HashEmbedder):
        seen = 0

        def embed(self, texts, role="passage"):
            Counting.seen += len(texts)
            return super().embed(texts, role)

    index = dougong.make("retriever.qdrant", embedder=Counting(), path=str(tmp_path))
    index.add(chunks())
    index.delete([c.id for c in chunks()])
    index.add(chunk(f"moved {number}", text) for number, text in enumerate(CORPUS))
    assert Counting.seen == len(set(CORPUS))
    assert index.search(CORPUS[2], 1)[0].chunk.id == "moved 2"


def test_a_collection_that_is_gone_is_told(tmp_path):
    index = made(tmp_path / "store")
    index.add(chunks())
    index.save(tmp_path / "saved")
    index._inner._qdrant.delete_collection("dougong")
    with pytest.raises(StoreError, match=r"holds 0 of the .* index again"):
        made(tmp_path / "store").load(tmp_path / "saved", {})


def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    index = dougong.make("retriever.qdrant", embedder=HashEmbedder(), url=f"http://127.0.0.1:{port}", timeout=1)
    with pytest.raises(CallError, match=r"Qdrant at http://127.*check url"):
        index.add(chunks())


# ---------------------------------------------------------------- with the techniques around it


def test_a_library_a_hybrid_and_hyde_stand_on_it(tmp_path):
    (tmp_path / "docs").mkdir()
    for number, text in enumerate(CORPUS):
        (tmp_path / "docs" / f"{number}.txt").write_text(text)
    dense = {"use": "qdrant", "embedder": HashEmbedder(), "path": str(tmp_path / "store")}
    params = {"sources": [str(tmp_path / "docs")], "path": str(tmp_path / "library")}
    index = {"use": "hybrid", "of": [{"use": "bm25"}, dense]}
    library = dougong.make("retriever.library", **params, index=index)
    assert library.sync().added == len(CORPUS)
    (tmp_path / "docs" / "0.txt").write_text("A zebra crossing. 斑马线")
    assert library.sync().updated == 1
    again = dougong.make("retriever.library", **params, index=index)
    assert "zebra" in again.search("zebra 斑马线", 1)[0].chunk.text
    of = made(tmp_path / "store", collection="other")
    of.add(chunks())
    hyde = dougong.make("retriever.hyde", of=of, embedder=HashEmbedder(), llm=ScriptedLLM(CORPUS[5], again=True))
    assert hyde.search("?", 1)[0].chunk == chunks()[5]


# ---------------------------------------------------------------- a server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a Qdrant server: QDRANT_URL, or one started from QDRANT_BIN or a `qdrant` on the path."""
    if os.environ.get("QDRANT_URL"):
        yield os.environ["QDRANT_URL"]
        return
    binary = os.environ.get("QDRANT_BIN") or shutil.which("qdrant")
    if not binary:
        pytest.skip("no Qdrant server: set QDRANT_URL, or QDRANT_BIN to its binary")
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    more = {"QDRANT__SERVICE__HTTP_PORT": ports[0], "QDRANT__SERVICE__GRPC_PORT": ports[1],
            "QDRANT__SERVICE__HOST": "127.0.0.1", "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__STORAGE__STORAGE_PATH": folder / "storage"}  # fmt: skip
    process = subprocess.Popen([binary], cwd=folder, env={**os.environ, **{n: str(v) for n, v in more.items()}})
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", ports[0]), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        process.wait()


def test_a_server_does_what_local_mode_does(server, tmp_path):
    where = [None, {"lang": "zh"}, {"page": {"gte": 5, "lt": 11}}, {"lang": {"ne": "zh"}}, {"tags": "t1"},
             {"source": {"prefix": "doc-0"}}]  # fmt: skip
    remote = {"embedder": HashEmbedder(), "url": server, "collection": f"test-{os.getpid()}"}
    one, two = dougong.make("retriever.qdrant", **remote), made(tmp_path / "store")
    for index, name in ((one, "one"), (two, "two")):
        index.add(chunks())
        index.save(tmp_path / name)
        index.delete([c.id for c in chunks()[::2]])
        index.add([chunk("new", CORPUS[0])])
    for filter in where:
        for query in CORPUS:
            assert ids(one.search(query, 50, filter)) == ids(two.search(query, 50, filter))
    again = dougong.make("retriever.qdrant", **remote)
    again.load(tmp_path / "one", {c.id: c for c in chunks()})
    assert ids(again.search("dougong", 50)) == {c.id for c in chunks()}
