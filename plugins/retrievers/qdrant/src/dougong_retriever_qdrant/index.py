"""The index: a collection that holds many states at once, and a file that names one of them.

Nothing that a saved state needs is changed afterwards. A point says in which transaction it was born and in which it
died; a state is a list of transactions, and sees the points that were born in one of them and died in none. What a
process wrote before it was killed is of a transaction that no saved state names.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from dougong import CallError, Chunk, Hit, Secret, StoreError
from dougong import where as compile_where
from dougong.assemble import origin
from dougong_retriever_exact.table import checked
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from dougong_retriever_qdrant import Params
from dougong_retriever_qdrant.filters import payload, translate

VERSION = 1
_HEADER = "qdrant.json"
_LONGEST = 8  # transactions that a state lists; then its points are written into a new one
_BORN, _DIED = "born_", "died_"

_local: WeakValueDictionary[str, QdrantClient] = WeakValueDictionary()
_opening = threading.Lock()


def _client(params: Params) -> QdrantClient:
    """A client; of a folder, the one of this process, since Qdrant lets no second one in."""
    if params.url is not None:
        key = params.api_key.reveal() if params.api_key is not None else None
        return QdrantClient(url=params.url, api_key=key, timeout=params.timeout, check_compatibility=False)
    place = str(params.path.absolute())
    with _opening:
        client = _local.get(place)
        if client is None:
            client = _local[place] = QdrantClient(path=place, force_disable_check_same_thread=True)
        return client


class Qdrant:
    """Chunks by the vectors of their `index_text`, in a Qdrant collection. A hit's score is the cosine.

    Searches may share it between threads; changes need the caller's lock. Raises CallError where the server fails.

    Source: https://qdrant.tech/documentation/concepts
    """

    def __init__(self, params: Params) -> None:
        self._params, self._embedder = params, params.embedder
        self._lock = threading.Lock()
        self._opened: QdrantClient | None = None
        self._state: tuple[str, ...] = ()  # its transactions; the last one is open if `_changing`
        self._saved: tuple[str, ...] = ()
        self._changing = False
        self._added: dict[str, Chunk] = {}
        self._stored: Mapping[str, Chunk] = {}

    @property
    def languages(self) -> Sequence[str] | None:
        """Those that the embedder knows; None where it does not say."""
        return getattr(self._embedder, "languages", None)

    def close(self) -> None:
        """Let go of the server; local mode stays open for others of this process."""
        if self._opened is not None and self._params.url is not None:
            self._opened.close()
        self._opened = None

    @property
    def _qdrant(self) -> QdrantClient:
        with self._lock:
            if self._opened is None:
                with self._told():
                    self._opened = _client(self._params)
            return self._opened

    # ------------------------------------------------------------ change

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Hold `chunks`. A text of which the collection has the vector, of a dead chunk say, is not embedded again."""
        chunks = iter(chunks)
        while batch := list(islice(chunks, self._params.batch)):
            latest = {chunk.id: chunk for chunk in batch}
            digests = {id: _digest(chunk.index_text) for id, chunk in latest.items()}
            now = self._transaction()
            vectors = self._vectors({digests[id]: chunk.index_text for id, chunk in latest.items()})
            with self._told():
                self._kill(list(latest), now)
                self._qdrant.upsert(
                    self._params.collection,
                    [
                        models.PointStruct(
                            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{now} {id!a}")),
                            vector=vectors[digests[id]].tolist(),
                            payload={**payload(chunk.meta), "chunk": _plain(id), "digest": digests[id],
                                     _BORN + now: True},
                        )
                        for id, chunk in latest.items()
                    ],
                    wait=True,
                )  # fmt: skip
            self._added.update(latest)

    def delete(self, ids: Iterable[str]) -> None:
        ids = list(ids)
        if not self._state or not ids:
            return
        now = self._transaction()
        with self._told():
            for first in range(0, len(ids), 1000):
                self._kill(ids[first : first + 1000], now)
        for id in ids:
            self._added.pop(id, None)

    def _kill(self, ids: Sequence[str], now: str) -> None:
        """Let the points of these chunks that the state sees die in transaction `now`."""
        mine = models.FieldCondition(key="chunk", match=models.MatchAny(any=list(map(_plain, ids))))
        self._qdrant.set_payload(
            self._params.collection, {_DIED + now: True}, points=_seen(self._state, [mine]), wait=True
        )

    def _vectors(self, texts: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Vectors of texts by their digest: those that the collection has, and the others embedded."""
        held = models.Filter(must=[models.FieldCondition(key="digest", match=models.MatchAny(any=list(texts)))])
        found: dict[str, np.ndarray] = {}
        place: Any = None
        with self._told():
            while True:
                points, place = self._qdrant.scroll(
                    self._params.collection, held, limit=1000, offset=place, with_vectors=True, with_payload=["digest"]
                )
                for point in points:
                    found[point.payload["digest"]] = np.asarray(point.vector, np.float32)  # type: ignore[index]
                if place is None:
                    break
        fresh = [digest for digest in texts if digest not in found]
        if fresh:
            rows = self._embedder.embed([texts[digest] for digest in fresh], "passage")
            found.update(zip(fresh, checked(rows, len(fresh), self._embedder.dim)))
        return found

    def _transaction(self) -> str:
        """The open transaction; begun, and the collection made, if need be."""
        if not self._changing:
            with self._told():
                self._make()
                if len(self._state) >= _LONGEST:
                    self._rebase()
            self._state, self._changing = (*self._state, uuid.uuid4().hex), True
            self._index_of(self._state[-1])
        return self._state[-1]

    def _make(self) -> None:
        if self._qdrant.collection_exists(self._params.collection):
            return
        vectors = models.VectorParams(size=self._embedder.dim, distance=models.Distance.COSINE)
        self._qdrant.create_collection(self._params.collection, vectors_config=vectors)
        if self._params.url is not None:  # local mode has none
            for key in ("chunk", "digest", "is"):
                self._qdrant.create_payload_index(self._params.collection, key, models.PayloadSchemaType.KEYWORD)

    def _index_of(self, transaction: str) -> None:
        if self._params.url is not None:
            for key in (_BORN + transaction, _DIED + transaction):
                self._qdrant.create_payload_index(self._params.collection, key, models.PayloadSchemaType.BOOL)

    def _rebase(self) -> None:
        """Write what the state sees into one transaction, and remove what neither it nor the last saved one sees."""
        now = uuid.uuid4().hex
        name = self._params.collection
        self._index_of(now)
        self._qdrant.set_payload(name, {_BORN + now: True}, points=_seen(self._state), wait=True)
        others = models.Filter(must_not=[_seen((now,)), _seen(self._saved or (now,))])
        self._qdrant.delete(name, models.FilterSelector(filter=others), wait=True)
        self._state = (now,)

    # ------------------------------------------------------------ search

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        compile_where(where)
        if not query.strip() or not self._state:
            return []
        return self.search_vector(self._embedder.embed([query], "query")[0], k, where)

    def search_vector(self, vector: np.ndarray, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        """Hits of a query's vector: float32 ``(dim,)``, unit length."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        matches = compile_where(where)
        if not self._state:
            return []
        seen = _seen(self._state, [translate(where)] if where else [])
        limit = k
        while True:
            with self._told():
                points = self._qdrant.query_points(
                    self._params.collection, np.asarray(vector, np.float32).tolist(), query_filter=seen, limit=limit,
                    with_payload=["chunk"],
                ).points  # fmt: skip
            scored = sorted((-point.score, _id(point.payload["chunk"])) for point in points)  # type: ignore[index]
            hits = [Hit(self._chunk(id), -score) for score, id in scored]
            kept = [hit for hit in hits if matches(hit.chunk.meta)] if where else hits
            if len(kept) >= k or len(points) < limit:
                return kept[:k]
            limit *= 4

    def _chunk(self, id: str) -> Chunk:
        try:
            return self._added[id] if id in self._added else self._stored[id]
        except KeyError:
            raise StoreError(f"the index holds chunk {id!r}, the store does not", hint="index again") from None

    # ------------------------------------------------------------ disk

    def save(self, folder: Path) -> None:
        """Close the transaction, and write down the state: vectors are in the collection already."""
        header = {
            "format": "dougong.qdrant", "version": VERSION, **self._made_with(), "state": self._state,
            "chunks": self._count(self._state),
        }  # fmt: skip
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / _HEADER, "x", encoding="utf-8") as file:
                json.dump(header, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise StoreError(f"cannot save the index in {folder}: {problem}", hint="give an empty folder") from problem
        self._saved, self._changing = self._state, False

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            header = json.loads((folder / _HEADER).read_text("utf-8"))
            if header["version"] > VERSION:
                raise StoreError(
                    f"{folder} was written by a newer version", hint="pip install -U dougong-retriever-qdrant"
                )
            for what, mine in self._made_with().items():
                if header[what] != json.loads(json.dumps(mine)):
                    raise StoreError(
                        f"{folder} was saved with another {what}, {header[what]}", hint="set it back, or index again"
                    )
            state, count = tuple(map(str, header["state"])), int(header["chunks"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise StoreError(f"{folder} is no complete Qdrant index: {problem}", hint="index again") from problem
        found = self._count(state)
        if found != count:
            raise StoreError(
                f"the collection {self._params.collection} holds {found} of the {count} chunks of {folder}",
                hint="index again; give each index a collection of its own",
            )
        self._state, self._saved, self._changing = state, state, False
        self._added, self._stored = {}, chunks

    def _made_with(self) -> dict[str, Any]:
        made = origin(self._embedder)
        kind = type(self._embedder)
        return {
            "collection": self._params.collection,
            "embedder": made.params if made is not None else f"{kind.__module__}:{kind.__qualname__}",
            "dim": self._embedder.dim,
        }

    def _count(self, state: tuple[str, ...]) -> int:
        with self._told():
            if not state or not self._qdrant.collection_exists(self._params.collection):
                return 0
            return int(self._qdrant.count(self._params.collection, _seen(state), exact=True).count)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Failures of the client or the server, as errors that say where and what to do."""
        where = self._params.url or str(self._params.path)
        try:
            yield
        except (QdrantException, ApiException, OSError, RuntimeError, ValueError) as error:
            text = Secret.scrub(f"Qdrant at {where}, collection {self._params.collection}: {error}"[:600])
            hint = "check url and api_key, and that the server is up"
            if self._params.url is None:
                raise StoreError(text, hint="another process may have it open; else delete the folder, and index again",
                                 ) from error  # fmt: skip
            raise CallError(text, hint=hint) from error


def _seen(state: Sequence[str], more: Sequence[Any] = ()) -> models.Filter:
    """The points that `state` sees, and that meet `more`."""

    def marked(key: str) -> Any:
        return models.FieldCondition(key=key, match=models.MatchValue(value=True))

    born = models.Filter(should=[marked(_BORN + one) for one in state])
    return models.Filter(must=[born, *more], must_not=[marked(_DIED + one) for one in state])


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(id: str) -> str:
    """An id that any JSON parser takes, lone surrogates too."""
    return json.dumps(id)


def _id(plain: str) -> str:
    return str(json.loads(plain))
