"""The single truth: one SQLite file of documents, their text and their chunks.

Every commit that changes chunks has a number, ``seq``. A chunk's row carries the number of the commit that wrote it, a
tombstone that of the commit that removed it; so what an index that covers ``a`` lacks to cover ``b`` is two queries.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

import attrs
from dougong import Chunk, Document, Span, StoreError

from dougong_retriever_library.rows import Packed, decode_tree

APPLICATION = 0x6467_6C62  # "dglb" in the file's header: this database is ours
BLOCK = 1 << 14  # code points a row of text: a slice of a long document reads one or two rows, not the document
CACHED = 1024  # chunks kept in memory
MANY = 1000  # rows that are asked for one by one; more are picked out of all

_decoded = lru_cache(256)(json.loads)  # chunks that follow each other say the same of their document and headings

# Entry n takes a file from user_version n to n + 1; entries are only ever appended.
MIGRATIONS: list[tuple[str, ...]] = [
    (
        """CREATE TABLE documents (
            key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL, hash BLOB NOT NULL, load_by TEXT NOT NULL, chunk_by TEXT NOT NULL,
            length INTEGER NOT NULL, meta TEXT NOT NULL)""",
        """CREATE TABLE texts (
            document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE, block INTEGER NOT NULL,
            text TEXT NOT NULL, PRIMARY KEY (document, block))""",
        """CREATE TABLE trees (
            document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, tree BLOB NOT NULL)""",
        """CREATE TABLE chunks (
            id TEXT NOT NULL UNIQUE, document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
            start INTEGER NOT NULL, end INTEGER NOT NULL, headings TEXT NOT NULL, context TEXT NOT NULL,
            parent_start INTEGER, parent_end INTEGER, tokens INTEGER NOT NULL, oversize INTEGER NOT NULL,
            meta TEXT NOT NULL, signature BLOB NOT NULL, seq INTEGER NOT NULL)""",
        "CREATE INDEX chunks_document ON chunks (document, start)",
        "CREATE INDEX chunks_seq ON chunks (seq)",
        "CREATE TABLE tombstones (id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE state (
            seq INTEGER NOT NULL, generation INTEGER NOT NULL, covers INTEGER NOT NULL, trimmed INTEGER NOT NULL,
            index_by TEXT NOT NULL)""",
        "INSERT INTO state VALUES (0, 0, 0, 0, '')",
    )
]


class Unavailable(StoreError):
    """The store cannot be written, or a source not be seen, just now; what is stored is whole and can be searched."""


@attrs.frozen
class State:
    """`seq`: the last commit. `generation`: the index folder in force (0: none), which `covers` commits up to that one
    and was made by `index_by`. Tombstones up to `trimmed` are gone."""

    seq: int
    generation: int
    covers: int
    trimmed: int
    index_by: str


class Stored(NamedTuple):
    """What the store knows of a document's file. `mtime_ns` is -1 where the time proves nothing."""

    key: int
    id: str
    source: str
    size: int
    mtime_ns: int
    hash: bytes
    load_by: str
    chunk_by: str
    length: int


Held = tuple[str, str, int, int, int]  # id, source, size, mtime_ns, whether the stages are those of today


class View:
    """The store as of one commit, on a connection that no other thread uses meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._blocks: dict[tuple[int, int], str] = {}
        self.seq = self.state().seq

    def state(self) -> State:
        return State(*self._sql.execute("SELECT seq, generation, covers, trimmed, index_by FROM state").fetchone())

    def held(self, load_by: str, chunk_by: str) -> dict[str, Held]:
        """Of every document what tells a changed file, and whether it was made by these stages."""
        query = "SELECT id, source, size, mtime_ns, load_by = ? AND chunk_by = ? FROM documents"
        return {row[0]: row for row in self._sql.execute(query, (load_by, chunk_by))}

    def stored(self, ids: Collection[str]) -> dict[str, Stored]:
        """What is stored of these documents, as far as they are."""
        query = "SELECT key, id, source, size, mtime_ns, hash, load_by, chunk_by, length FROM documents"
        if len(ids) > MANY:
            rows = (row for row in self._sql.execute(query) if row[1] in ids)
        else:
            rows = (row for id in ids for row in self._sql.execute(f"{query} WHERE id = ?", (id,)))
        return {row[1]: Stored._make(row) for row in rows}

    def rows(self, query: str, *values: Any) -> list[Any]:
        return self._sql.execute(query, values).fetchall()

    def text(self, document: str) -> str | None:
        if not self.rows("SELECT 1 FROM documents WHERE id = ?", document):
            return None
        query = "SELECT t.text FROM texts t JOIN documents d ON d.key = t.document WHERE d.id = ? ORDER BY t.block"
        return "".join(text for (text,) in self.rows(query, document))

    def document(self, id: str) -> Document:
        """The document as its loader gave it."""
        query = "SELECT source, meta, tree FROM documents LEFT JOIN trees ON document = key WHERE id = ?"
        source, meta, tree = self.rows(query, id)[0]
        return Document(id, self.text(id) or "", decode_tree(tree), source, json.loads(meta))

    _CHUNK = """SELECT c.id, d.key, d.id, d.meta, c.start, c.end, c.headings, c.context, c.parent_start,
        c.parent_end, c.tokens, c.oversize, c.meta FROM chunks c JOIN documents d ON d.key = c.document"""

    def chunk(self, id: str) -> Chunk:
        """Raises KeyError."""
        row = self._sql.execute(f"{self._CHUNK} WHERE c.id = ?", (id,)).fetchone()
        if row is None:
            raise KeyError(id)
        return self._chunk(row)

    def chunks(self, after: int, upto: int) -> Iterator[Chunk]:
        """Chunks written by commits in ``(after, upto]``, document by document."""
        query = f"{self._CHUNK} WHERE c.seq > ? AND c.seq <= ? ORDER BY c.document, c.start, c.rowid"
        return map(self._chunk, self._sql.execute(query, (after, upto)))

    def written(self, after: int, upto: int) -> list[str]:
        """Ids of chunks written by commits in ``(after, upto]``."""
        return [id for (id,) in self.rows("SELECT id FROM chunks WHERE seq > ? AND seq <= ?", after, upto)]

    def count(self, after: int, upto: int | None = None) -> int:
        """How many chunks commits in ``(after, upto]`` wrote."""
        query = "SELECT count(*) FROM chunks WHERE seq > ? AND seq <= ?"
        return int(self.rows(query, after, self.seq if upto is None else upto)[0][0])

    def steps(self, after: int, size: int) -> list[int]:
        """Commits after `after` at which to pause, so that at least `size` chunks lie between two; the last is ours."""
        steps, count = [], 0
        for seq, chunks in self.rows("SELECT seq, count(*) FROM chunks WHERE seq > ? GROUP BY seq ORDER BY seq", after):
            count += chunks
            if count >= size and seq < self.seq:
                steps.append(seq)
                count = 0
        return [*steps, self.seq] if self.seq > after else []

    def gone(self, after: int, upto: int) -> list[str]:
        """Ids of chunks removed by commits in ``(after, upto]``; some may live again."""
        return [id for (id,) in self.rows("SELECT id FROM tombstones WHERE seq > ? AND seq <= ?", after, upto)]

    def _chunk(self, row: tuple[Any, ...]) -> Chunk:
        id, key, document, shared, start, end, headings, context, first, last, tokens, oversize, meta = row
        return Chunk(
            id,
            document,
            self._slice(key, start, end),
            Span(start, end),
            tuple(_decoded(headings)),
            context,
            None if first is None else Span(first, last),
            tokens,
            bool(oversize),
            {**_decoded(shared), **json.loads(meta)},
        )

    def _slice(self, key: int, start: int, end: int) -> str:
        parts = []
        for block in range(start // BLOCK, -(-end // BLOCK)):
            if (key, block) not in self._blocks:
                if len(self._blocks) >= 4:
                    self._blocks.clear()
                row = self.rows("SELECT text FROM texts WHERE document = ? AND block = ?", key, block)
                self._blocks[key, block] = row[0][0]
            offset = block * BLOCK
            parts.append(self._blocks[key, block][max(start - offset, 0) : end - offset])
        return "".join(parts)


class Writer(View):
    """The one writer. Whole documents go into a batch, `commit` makes the batch last."""

    _changed = 0  # chunks written and removed in the open batch

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.prepared: dict[str, str] = {}  # of chunks written and not yet indexed, by id: what the index takes

    def begin(self) -> int:
        """Begin a batch unless one is open; gives its number."""
        if not self._sql.in_transaction:
            self._sql.execute("BEGIN IMMEDIATE")
            self._changed = 0
        return self.seq + 1

    def commit(self) -> None:
        if self._sql.in_transaction:
            if self._changed:
                self._sql.execute("UPDATE state SET seq = ?", (self.seq + 1,))
            self._sql.execute("COMMIT")
            self.seq += bool(self._changed)
            self._blocks.clear()

    def touch(self, key: int, mtime_ns: int) -> None:
        """The file was touched, its bytes are the same."""
        self.begin()
        self._sql.execute("UPDATE documents SET mtime_ns = ? WHERE key = ?", (mtime_ns, key))

    def remove(self, key: int) -> int:
        """Take a document out; gives the number of chunks that went with it."""
        seq = self.begin()
        query = "INSERT OR REPLACE INTO tombstones SELECT id, ? FROM chunks WHERE document = ?"
        count = self._sql.execute(query, (seq, key)).rowcount
        self._sql.execute("DELETE FROM documents WHERE key = ?", (key,))
        self._changed += count
        return count

    def put(self, stored: Stored, packed: Packed, keep_text: bool) -> int:
        """Store a document and the difference of its chunks, or nothing; gives the number of chunks written or removed.

        Args:
            stored: the new record; its key counts only where the document is held already.
            keep_text: the text is the stored one, only chunks are new.
        """
        seq = self.begin()
        self._sql.execute("SAVEPOINT document")
        try:
            count = self._put(stored, packed, keep_text, seq)
        except sqlite3.IntegrityError as problem:
            self._undo()
            raise ValueError("the chunker gave a chunk the id of another one") from problem
        except BaseException:
            self._undo()
            raise
        self._sql.execute("RELEASE document")
        self._changed += count
        return count

    def _undo(self) -> None:
        if self._sql.in_transaction:  # a full disk has rolled back everything already
            self._sql.execute("ROLLBACK TO document")
            self._sql.execute("RELEASE document")

    def _put(self, stored: Stored, packed: Packed, keep_text: bool, seq: int) -> int:
        _, *values = stored
        self._sql.execute(
            """INSERT INTO documents (id, source, size, mtime_ns, hash, load_by, chunk_by, length, meta)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET source = excluded.source,
            size = excluded.size, mtime_ns = excluded.mtime_ns, hash = excluded.hash, load_by = excluded.load_by,
            chunk_by = excluded.chunk_by, length = excluded.length, meta = excluded.meta""",
            (*values, packed.meta),
        )
        ((key,),) = self.rows("SELECT key FROM documents WHERE id = ?", stored.id)
        if not keep_text:
            self._sql.execute("DELETE FROM texts WHERE document = ?", (key,))
            blocks = range(0, len(packed.text), BLOCK)
            rows = ((key, start // BLOCK, packed.text[start : start + BLOCK]) for start in blocks)
            self._sql.executemany("INSERT INTO texts VALUES (?, ?, ?)", rows)
            self._sql.execute("INSERT OR REPLACE INTO trees VALUES (?, ?)", (key, packed.tree))
        old = dict(self.rows("SELECT id, signature FROM chunks WHERE document = ?", key))
        written = [(row[0], key, *row[1:], seq) for row in packed.rows if old.get(row[0]) != row[-1]]
        removed = old.keys() - {row[0] for row in packed.rows}
        dropped = [(id,) for id in (*removed, *(row[0] for row in written)) if id in old]
        self._sql.executemany("DELETE FROM chunks WHERE id = ?", dropped)
        self._sql.executemany(f"INSERT INTO chunks VALUES ({', '.join('?' * 13)})", written)
        self._sql.executemany("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", [(id, seq) for id in removed])
        if packed.prepared is not None:
            new = {row[0] for row in written}
            ids = (row[0] for row in packed.rows)
            self.prepared.update((id, ready) for id, ready in zip(ids, packed.prepared) if id in new)
        return len(written) + len(removed)

    def point(self, generation: int, covers: int, index_by: str) -> None:
        """Put an index folder in force, in a commit of its own."""
        self.begin()
        trimmed = max(self.state().trimmed, covers)  # whoever stands before that loads the new index
        self._sql.execute("DELETE FROM tombstones WHERE seq <= ?", (trimmed,))
        self._sql.execute(
            "UPDATE state SET generation = ?, covers = ?, trimmed = ?, index_by = ?",
            (generation, covers, trimmed, index_by),
        )
        self.commit()


class Refusing(Writer):
    """Stands for the writer where none can be had: reads, passes over what may wait, and refuses to change anything."""

    def __init__(self, connection: sqlite3.Connection, refusal: StoreError) -> None:
        super().__init__(connection)
        self._refusal = refusal

    def begin(self) -> int:
        raise self._refusal

    def commit(self) -> None:
        pass

    def touch(self, key: int, mtime_ns: int) -> None:
        pass


class Store:
    """Opens and guards the file. Any number of threads and processes read; one writes at a time.

    Its methods raise `StoreError`, with the cure; `Unavailable` where only writing is impossible.
    """

    def __init__(self, folder: Path, patience: float = 5.0) -> None:
        self.folder = folder
        self.file = folder / "library.sqlite"
        self.chunks: Mapping[str, Chunk] = _Chunks(self)
        self._patience = patience  # seconds to wait for another writer
        self._mutex = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._inode: tuple[int, int] | None = None

    def current(self) -> View | None:
        """The view that this thread is inside of."""
        return getattr(self._local, "view", None)

    @contextmanager
    def reading(self) -> Iterator[View | None]:
        """A view of the last commit; None where nothing is stored yet."""
        with self._explained():
            self._check_identity()
            with self._mutex:
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._reader()
            if connection is None:
                yield None
                return
            outer = self.current()
            try:
                connection.execute("BEGIN")
                self._local.view = View(connection)
                yield self._local.view
            finally:
                self._local.view = outer
                self._give_back(connection)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """The writer, or where it cannot be had but there is something to read, one that refuses.

        What is in an open batch when an error passes is rolled back.
        """
        with ExitStack() as stack:
            try:
                writer = stack.enter_context(self._writer())
            except Unavailable as refusal:
                view = stack.enter_context(self.reading())
                if view is None:
                    raise
                writer = Refusing(view._sql, refusal)
            yield writer

    @contextmanager
    def _writer(self) -> Iterator[Writer]:
        with self._explained(), self._lock():
            self._check_identity()
            connection = self._open("mode=rwc")
            try:
                version = self._version(connection)  # before anything is written: the file may not be ours
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # a commit lasts before an older index folder goes
                connection.execute("PRAGMA foreign_keys = ON")
                if version < len(MIGRATIONS):
                    connection.execute("BEGIN IMMEDIATE")
                    for statement in chain.from_iterable(MIGRATIONS[version:]):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
                    connection.execute("COMMIT")
                yield Writer(connection)
            finally:
                connection.close()

    def document(self, id: str) -> Document:
        """A document of the last commit, as its loader gave it."""
        with self.reading() as view:
            assert view is not None
            return view.document(id)

    def close(self) -> None:
        with self._mutex:
            while self._idle:
                self._idle.pop().close()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            connection.rollback()
        except sqlite3.Error:
            connection.close()
        else:
            with self._mutex:
                self._idle.append(connection)

    def _check_identity(self) -> None:
        """An index in memory goes with one file; one put in its place would be searched by the wrong index."""
        try:
            info = self.file.stat()
            inode = (info.st_dev, info.st_ino)
        except OSError:
            inode = None
        if self._inode not in (None, inode):
            raise StoreError(f"{self.file} was replaced or removed while it was open", hint="open the library again")
        self._inode = inode

    def _open(self, options: str) -> sqlite3.Connection:
        uri = f"{self.file.absolute().as_uri()}?{options}"
        return sqlite3.connect(uri, uri=True, timeout=self._patience, isolation_level=None, check_same_thread=False)

    def _reader(self) -> sqlite3.Connection | None:
        if not self.file.exists():
            return None
        # The last one to close tidies the log away, if it may write.
        connection = self._open("mode=rw" if os.access(self.file, os.W_OK) else "mode=ro")
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.OperationalError:
            connection.close()
            # A reader of a write-ahead log needs to write beside it, unless nobody can and the log is empty.
            if os.access(self.folder, os.W_OK) or Path(f"{self.file}-wal").exists():
                raise
            connection = self._open("immutable=1")
        if self._version(connection) < len(MIGRATIONS):
            connection.close()  # new or older: the next writer makes or migrates it
            return None
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (tables or application or version):
            raise StoreError(f"{self.file} is not a dougong library", hint="choose another path for this library")
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self.file} was written by a newer dougong-retriever-library (format {version}, this one reads "
                f"up to {len(MIGRATIONS)})",
                hint="upgrade: pip install -U dougong-retriever-library",
            )
        return int(version)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time: an exclusive transaction on a file of its own, which dies with its process."""
        owner = self.folder / "writer"
        with writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(
            self.folder / "writer.lock", timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        try:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorname != "SQLITE_BUSY":
                    raise
                who = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
                raise Unavailable(
                    f"{self.folder} is being written by {who}", hint="wait until it is done, or end it, and try again"
                ) from None
            with writable(self.folder):
                owner.write_text(f"process {os.getpid()} on {gethostname()}", encoding="utf-8")
            yield
        finally:
            lock.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors in our words."""
        try:
            yield
        except sqlite3.Error as problem:
            name = getattr(problem, "sqlite_errorname", "")
            raise self._explain(name, str(problem)) from problem

    def _explain(self, name: str, text: str) -> StoreError:
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return StoreError(
                f"{self.file} is damaged or no SQLite database ({text})",
                hint=f"restore it from a backup, or move {self.folder} away: the next sync builds it from the sources",
            )
        if name.startswith("SQLITE_FULL"):
            hint = "the disk is full; free space and try again: nothing stored was lost"
        elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            hint = "the library can be searched but not written; mend the permissions or choose another path"
        else:
            hint = "nothing stored was lost; try again"
        return Unavailable(f"{self.file}: {text}", hint=hint)


class _Chunks(Mapping[str, Chunk]):
    """All chunks by id, read when they are asked for. Inside a view, as of its commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._cache: dict[tuple[int, str], Chunk] = {}

    def __getitem__(self, id: str) -> Chunk:
        view = self._store.current()
        if view is None:
            return self._read(lambda view: view.chunk(id))
        with self._mutex:
            chunk = self._cache.pop((view.seq, id), None)
        chunk = chunk or view.chunk(id)
        with self._mutex:
            self._cache[view.seq, id] = chunk
            if len(self._cache) > CACHED:
                del self._cache[next(iter(self._cache))]
        return chunk

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(lambda view: [id for (id,) in view.rows("SELECT id FROM chunks ORDER BY id")]))

    def __len__(self) -> int:
        return self._read(lambda view: view.rows("SELECT count(*) FROM chunks")[0][0])

    def _read(self, question: Callable[[View], Any]) -> Any:
        if (view := self._store.current()) is not None:
            return question(view)
        with self._store.reading() as view:
            if view is None:
                raise StoreError(f"{self._store.folder} holds no library", hint="run sync() first")
            return question(view)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """The system's errors while writing into the library's folder, in our words."""
    try:
        yield
    except OSError as problem:
        raise Unavailable(
            f"{problem.filename or folder}: {problem.strerror or problem}",
            hint="nothing stored was lost; free space, mend the permissions or choose another path",
        ) from problem
