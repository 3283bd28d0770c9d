"""The bookkeeping against a machine that keeps every row's tokens in a list of its own."""

import random

import pytest
import torch
from dougong_cache_paged.pages import Pages

HEADS, D = 2, 3


def state(history):
    """Keys of the last token: a function of all tokens so far, as in a network."""
    return torch.randn(HEADS, D, generator=torch.Generator().manual_seed(hash(history) & 0xFFFFFFFF))


class Machine:
    """Runs steps on a pool, and the same on plain lists."""

    def __init__(self, size, share):
        self.pages, self.pool = Pages(size, share), torch.zeros(HEADS, 0, size, D)
        self.rows = []  # of columns: None for padding, or the row's tokens up to there

    def append(self, columns):
        """`columns`: of each row a list of tokens, None for padding."""
        ids = torch.zeros(len(columns), len(columns[0]), 2, dtype=torch.long)
        mask = torch.ones(len(columns), len(columns[0]), dtype=torch.bool)
        new = torch.zeros(len(columns), HEADS, len(columns[0]), D)
        self.rows = self.rows or [[] for _ in columns]
        for row, line in enumerate(columns):
            for at, token in enumerate(line):
                before = next((history for history in reversed(self.rows[row]) if history), ())
                self.rows[row].append(None if token is None else (*before, token))
                if token is None:
                    mask[row, at] = False
                else:
                    ids[row, at, 0], ids[row, at, 1] = token, len(before)
                    new[row, :, at] = state(self.rows[row][-1])
        step = self.pages.advance(len(columns), len(columns[0]), ids, mask)
        if more := self.pages.blocks - self.pool.shape[1]:
            self.pool = torch.cat([self.pool, torch.zeros(HEADS, more, self.pages.size, D)], 1)
        if step.copies:
            self.pool[:, step.copies[1]] = self.pool[:, step.copies[0]]
        chosen = new.transpose(1, 2).flatten(0, 1) if step.rows is None else new[step.rows, :, step.columns]
        flat = self.pool.view(HEADS, -1, D)
        flat[:, step.slots] = chosen.transpose(0, 1)
        self.found = flat[:, step.read]  # (heads, batch, columns, d)

    def check(self):
        for row, line in enumerate(self.rows):
            for column, history in enumerate(line):
                if history:
                    assert torch.equal(self.found[:, row, column], state(history)), (row, column)
        used = [block for row in self.pages.rows for block in row.table]
        assert [used.count(block) for block in range(self.pages.blocks)] == self.pages.references
        assert sorted(self.pages.free) == [b for b in range(self.pages.blocks) if not self.pages.references[b]]
        assert {digest: block for block, digest in self.pages.hashes.items()} == self.pages.known
        assert all(self.pages.references[block] for block in self.pages.hashes)


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_steps_reorderings_and_cuts_reads_what_was_written(seed):
    draw = random.Random(seed)
    size, batch = draw.choice((1, 2, 4)), draw.randint(1, 4)
    machine = Machine(size, share=draw.random() < 0.8)

    def piece(length, left=0):
        return [None] * left + [draw.randint(0, 1) for _ in range(length - left)]

    length = draw.randint(1, 9)
    machine.append([piece(length, draw.choice((0, 0, draw.randint(0, length)))) for _ in range(batch)])
    machine.check()
    for _ in range(25):
        action = draw.random()
        if action < 0.25:
            chosen = [draw.randrange(batch) for _ in range(batch)]
            machine.pages.select(chosen)
            machine.rows = [list(machine.rows[row]) for row in chosen]
        elif action < 0.4 and machine.pages.columns > 1:
            cut = draw.randint(1, min(6, machine.pages.columns - 1))
            machine.pages.crop(cut)
            machine.rows = [row[:-cut] for row in machine.rows]
        count = draw.choice((1, 1, 1, 3, 6))
        machine.append([piece(count) for _ in range(batch)])
        machine.check()


def test_a_common_beginning_is_one_whatever_padding_stands_before_it():
    machine = Machine(4, share=True)
    prefix = [5, 6, 7, 8, 9, 10, 11, 12]
    machine.append([[None] * (4 - row) + prefix + list(range(20 + row, 20 + 2 * row)) for row in range(4)])
    machine.check()
    assert machine.pages.filled() == 8 + 0 + 1 + 2 + 3
    assert machine.pages.blocks - len(machine.pages.free) == 2 + 3


def test_equal_blocks_after_different_beginnings_stay_apart():
    machine = Machine(2, share=True)
    machine.append([[1, 2, 7, 7], [3, 4, 7, 7]])
    machine.check()
    assert machine.pages.filled() == 8


def test_a_block_is_copied_only_when_one_of_its_sharers_writes():
    machine = Machine(4, share=True)
    machine.append([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 8, 9]])
    machine.pages.select([0, 0])
    machine.rows = [list(machine.rows[0]), list(machine.rows[0])]
    assert machine.pages.filled() == 6
    machine.append([[1], [2]])
    machine.check()
    assert machine.pages.filled() == 4 + 3 + 3
