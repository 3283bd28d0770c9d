"""Which block holds which tokens: tables, reference counts, a free list, copy on write, and blocks found again by the
hash of all that precedes them (Kwon et al. 2023, sections 4.2 to 4.4). Knows nothing of keys and values."""

from __future__ import annotations

import sys
from hashlib import blake2b
from itertools import pairwise

import attrs
import torch

ROOT = b"root"
IDENTITY = 16  # bytes that tell a token: its id and its position


@attrs.define
class Row:
    """One sequence. `chain` is the hash of its full blocks, None where it is not known; `tail` tells the tokens of the
    block that is not full yet."""

    table: list[int] = attrs.field(factory=list)
    tokens: int = 0
    chain: bytes | None = ROOT
    tail: bytes = b""


@attrs.frozen
class Step:
    """What each layer does for the tokens of one forward: copy blocks, then write tokens, then read all.

    Attributes:
        copies: blocks ``(source, copy)``.
        rows, columns, slots: the tokens to write, and where; None for `rows` and `columns` means all, row by row.
        read: slots of all columns, ``(batch, columns)``; that of padding is any.
    """

    copies: tuple[torch.Tensor, torch.Tensor] | None
    rows: torch.Tensor | None
    columns: torch.Tensor | None
    slots: torch.Tensor
    read: torch.Tensor


class Pages:
    """`size` tokens a block; a slot is ``block * size + place in it``. A column that is padding has no slot.""" ""

    def __init__(self, size: int, share: bool) -> None:
        self.size, self.share = size, share
        self.clear()

    def clear(self) -> None:
        self.rows: list[Row] = []
        self.references: list[int] = []  # of each block
        self.free: list[int] = []
        self.known: dict[bytes, int] = {}  # full blocks by the hash of their tokens and all before them
        self.hashes: dict[int, bytes] = {}  # the other way round
        self.order = torch.zeros(0, 0, dtype=torch.int32)  # (batch, columns): which token of its row; -1: padding
        self._tables: torch.Tensor | None = None

    @property
    def columns(self) -> int:
        return self.order.shape[1]

    @property
    def blocks(self) -> int:
        return len(self.references)

    def advance(self, batch: int, columns: int, ids: torch.Tensor | None, mask: torch.Tensor | None) -> Step:
        """Makes room for `columns` more columns. `ids` ``(batch, columns, 2)`` tell tokens apart; `mask` is False where
        a column is padding."""
        if not self.rows:
            self.rows, self.order = [Row() for _ in range(batch)], self.order.new_zeros(batch, 0)
        identities = None if ids is None or not self.share else ids.numpy()
        self._copies: dict[int, int] = {}
        order = torch.full((batch, columns), -1, dtype=torch.int32)
        write = torch.ones(batch, columns, dtype=torch.bool)
        if mask is not None and mask.all():
            mask = None
        for number, row in enumerate(self.rows):
            where = None if mask is None else mask[number].nonzero().flatten()
            count = columns if where is None else len(where)
            places = slice(None) if where is None else where
            order[number, places] = torch.arange(row.tokens, row.tokens + count, dtype=torch.int32)
            told = b"" if identities is None else identities[number, places].tobytes()
            stored = torch.ones(count, dtype=torch.bool)
            for start, end in self._spans(row.tokens, count):
                if not self._fill(row, end - start, told[start * IDENTITY : end * IDENTITY], identities is not None):
                    stored[start:end] = False
            if where is not None:
                write[number] = False
            write[number, places] = stored
        self.order = torch.cat([self.order, order], 1)
        read = self._slots()
        new, every = read[:, -columns:], bool(write.all())
        chosen = (None, None) if every else write.nonzero(as_tuple=True)
        copies = (torch.tensor([*self._copies.values()]), torch.tensor([*self._copies])) if self._copies else None
        return Step(copies, *chosen, new.flatten() if every else new[write], read)

    def _spans(self, held: int, count: int) -> list[tuple[int, int]]:
        """`count` tokens after `held` ones, cut where a block ends."""
        cuts = [0, *range(-held % self.size or self.size, count, self.size), count]
        return list(pairwise(cuts)) if count else []

    def _fill(self, row: Row, count: int, told: bytes, known: bool) -> bool:
        """Puts tokens into one block of `row`; False where another block holds them already."""
        if row.tokens % self.size == 0:
            row.table.append(self._new())
        else:
            self._make_writable(row)
        row.tokens += count
        if not known:
            row.chain = None
        if row.chain is None:
            return True
        row.tail += told
        if row.tokens % self.size:
            return True
        mine, row.chain, row.tail = row.table[-1], blake2b(row.chain + row.tail, digest_size=16).digest(), b""
        block = self.known.setdefault(row.chain, mine)
        if block == mine:
            self.hashes[mine] = row.chain
            return True
        self.references[block] += 1
        row.table[-1], self._tables = block, None
        self._release(mine)
        return False

    def _make_writable(self, row: Row) -> None:
        """The last block of `row` is its own and unknown to others."""
        block = row.table[-1]
        if self.references[block] > 1:
            copy = self._new()
            self._copies[copy], row.table[-1] = block, copy
            self.references[block] -= 1
        elif block in self.hashes:  # full once, then cut back
            del self.known[self.hashes.pop(block)]

    def _new(self) -> int:
        self._tables = None
        if self.free:
            block = self.free.pop()
            self.references[block] = 1
            return block
        self.references.append(1)
        return len(self.references) - 1

    def _release(self, block: int) -> None:
        self.references[block] -= 1
        if not self.references[block]:
            self.free.append(block)
            self._copies.pop(block, None)
            if block in self.hashes:
                del self.known[self.hashes.pop(block)]

    def _slots(self) -> torch.Tensor:
        """Where each column's token lies, ``(batch, columns)``."""
        if self._tables is None:
            longest = max(1, *(len(row.table) for row in self.rows))
            self._tables = torch.tensor([row.table + [0] * (longest - len(row.table)) for row in self.rows])
        order = self.order.long().clamp(min=0)
        return self._tables.gather(1, order // self.size) * self.size + order % self.size

    def select(self, rows: list[int]) -> None:
        """Row i becomes what row ``rows[i]`` is, by reference."""
        old, self._copies = self.rows, {}
        self.rows = [attrs.evolve(old[number], table=list(old[number].table)) for number in rows]
        for row in self.rows:
            for block in row.table:
                self.references[block] += 1
        for row in old:
            for block in row.table:
                self._release(block)
        self.order, self._tables = self.order[rows], None

    def crop(self, columns: int) -> None:
        """Takes the last `columns` columns away."""
        self._copies, keep = {}, max(0, self.columns - columns)
        for number, row in enumerate(self.rows):
            tokens = int(self.order[number, :keep].max()) + 1 if keep else 0
            full, inside = divmod(tokens, self.size)
            for block in row.table[full + bool(inside) :]:
                self._release(block)
            if full < row.tokens // self.size:
                ends = self.hashes.get(row.table[full - 1]) if full else ROOT
                row.chain, row.tail = (None if inside else ends), b""
            row.table, row.tokens, row.tail = row.table[: full + bool(inside)], tokens, row.tail[: inside * IDENTITY]
        self.order, self._tables = self.order[:, :keep].clone(), None

    def filled(self) -> int:
        """Slots that hold a token of some row, each counted once."""
        fill: dict[int, int] = {}
        for row in self.rows:
            for number, block in enumerate(row.table):
                fill[block] = max(fill.get(block, 0), min(self.size, row.tokens - number * self.size))
        return sum(fill.values())

    def nbytes(self) -> int:
        """Bytes of the bookkeeping itself."""
        tensors = [self.order] + ([] if self._tables is None else [self._tables])
        lists = [self.references, self.free, self.known, self.hashes, *(row.table for row in self.rows)]
        digests = sum(map(sys.getsizeof, self.known))
        tails = sum(sys.getsizeof(row.tail) for row in self.rows)
        return sum(x.untyped_storage().nbytes() for x in tensors) + sum(map(sys.getsizeof, lists)) + digests + tails
