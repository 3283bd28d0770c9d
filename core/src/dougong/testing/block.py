"""What holds for every block of a network. Imports torch and transformers."""

from __future__ import annotations

import pytest

from dougong.testing.block_training import BlockTraining
from dougong.testing.block_use import close, states

# isort: split
import torch


class BlockConformance(BlockTraining):
    """A block keeps its promises of `dougong.kinds.Block`, alone and inside a model of transformers.

    Attributes:
        width: features of the hidden states; the other sizes that a config promises are fixed.
        mixes: positions see each other. Else what it gives at a position depends on what stands there alone.
        causal: a position sees none that comes after it.
        cached: it can work a piece at a time, through a cache.
        narrow: it takes ``width=...`` at building, as what normalises a head must.
        unused: names of parameters that have no gradient for a reason.
        fixed: names of matrices that start at given numbers, not drawn, for a reason.
        drops: params with which it drops a share of something in training; None if it never does.
        tolerance: how far outputs may be apart, as a share of the largest where that is beyond 1.
    """

    # ------------------------------------------------------------ shapes

    def test_shape_and_type_are_kept(self) -> None:
        block = self.made()
        for shape in ((1, 1), (2, 5), (3, 9)):
            hidden = states(*shape, self.width)
            out = self.forward(block, hidden)
            assert isinstance(out, torch.Tensor), (
                "forward gives one tensor; what else is of interest passes an nn.Identity"
            )
            assert out.shape == hidden.shape, f"{tuple(hidden.shape)} became {tuple(out.shape)}"
            assert torch.isfinite(out).all()
        whole = self.forward(block, hidden)
        for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.15)):
            out = self.forward(self.made().to(dtype), hidden.to(dtype))
            assert out.dtype == dtype, f"{dtype} became {out.dtype}; cast back what is computed in float32"
            scale = whole.abs().max().item() + 1
            close(out.float(), whole, tolerance * scale, f"in {dtype} it computes something else")

    def test_large_and_zero_states_stay_finite(self) -> None:
        block = self.made()
        for scale in (0.0, 1e-6, 1e4):
            assert torch.isfinite(self.forward(block, scale * states(2, 4, self.width))).all(), f"at a scale of {scale}"

    def test_keywords_that_it_does_not_know_pass(self) -> None:
        block, hidden = self.made(), states(2, 5, self.width)
        out = self.forward(block, hidden, use_cache=False, output_attentions=False, of_another_block=object())
        close(out, self.forward(block, hidden), 0, "a keyword that is not its own changes what it gives")

    def test_the_input_is_not_changed(self) -> None:
        block, hidden = self.made(), states(2, 5, self.width)
        before, weights = hidden.clone(), {name: value.clone() for name, value in block.state_dict().items()}
        self.forward(block, hidden)
        assert torch.equal(hidden, before), "hidden is the caller's: no in-place operations on it"
        for name, value in block.state_dict().items():
            assert torch.equal(value, weights[name]), f"evaluating changes {name}"

    def test_it_keeps_its_own_promises(self) -> None:
        """`expected`: the equations of its paper."""
        block, hidden = self.made(), states(2, 5, self.width)
        wanted = self.expected(block, hidden)
        if wanted is not None:
            self.same(self.forward(block, hidden), wanted, "it does not follow its equations")

    # ------------------------------------------------------------ what depends on what

    def test_rows_of_a_batch_do_not_touch(self) -> None:
        block, hidden = self.made(), states(3, 5, self.width)
        together = self.forward(block, hidden)
        alone = torch.cat([self.forward(block, row[None]) for row in hidden])
        self.same(together, alone, "a row depends on what else is in its batch")

    def test_a_position_sees_what_it_may(self) -> None:
        block, hidden = self.made(), states(2, 7, self.width)
        for implementation in self.implementations():
            plain = self.forward(block, hidden, implementation=implementation)
            other = hidden.clone()
            other[:, 4] += states(1, 1, self.width, seed=7)[0, 0]  # not the same to all: a layer norm takes that away
            changed = self.forward(block, other, implementation=implementation)
            moved = ((changed - plain).abs().amax((0, 2)) > self.tolerance).tolist()
            assert moved[4], f"what stands at a position has no effect there ({implementation})"
            if not self.mixes:
                assert sum(moved) == 1, "a position depends on another; say mixes = True if it should"
            else:
                assert any(moved[5:]), f"positions do not see each other ({implementation})"
                if self.causal:
                    assert not any(moved[:4]), f"a position sees what comes after it ({implementation})"

    def test_implementations_of_attention_agree(self) -> None:
        hidden, padding = states(2, 6, self.width), torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
        real = padding[..., None].bool()
        outs = []
        for implementation in self.implementations():
            block = self.made(self.config(implementation))
            outs.append(torch.where(real, self.forward(block, hidden, padding, implementation=implementation), 0.0))
        for out in outs[1:]:
            self.same(out, outs[0], "eager and sdpa do not agree")

    def test_padding_on_the_left_changes_nothing(self) -> None:
        for implementation in self.implementations():
            block = self.made(self.config(implementation))
            hidden = states(2, 5, self.width)
            alone = self.forward(block, hidden, torch.ones(2, 5, dtype=torch.long), implementation=implementation)
            rubbish = torch.cat([10 * states(2, 3, self.width), hidden], 1)
            padding = torch.tensor([[0] * 3 + [1] * 5] * 2)
            padded = self.forward(block, rubbish, padding, implementation=implementation)[:, 3:]
            self.same(padded, alone, f"padding on the left changes what follows it ({implementation})")

    def test_a_piece_at_a_time_gives_the_same(self) -> None:
        if not self.cached:
            pytest.skip("it uses no cache")
        block, hidden = self.made(), states(2, 7, self.width)
        whole = self.forward(block, hidden)
        for pieces in ((1,) * 7, (3, 1, 1, 2), (6, 1)):
            past, outs, at = self.cache(block), [], 0
            for length in pieces:
                outs.append(self.forward(block, hidden[:, at : at + length], past=past))
                at += length
            self.same(torch.cat(outs, 1), whole, f"through a cache in pieces of {pieces} it gives another")

    def test_layers_share_a_cache_without_mixing(self) -> None:
        if not self.cached:
            pytest.skip("it uses no cache")
        hidden, blocks = states(1, 4, self.width), [self.made(layer_idx=index) for index in (0, 1)]
        shared = self.cache(blocks[0])
        for step in range(4):
            piece = hidden[:, step : step + 1]
            positions = torch.full((1, 1), step)
            given = {"attention_mask": None, "position_ids": positions, "past_key_values": shared}
            first, second = blocks[0](piece, **given), blocks[1](piece, **given)
            self.same(second, first, "equal layers give different results: the cache's layers are mixed up")

    def test_a_cache_that_is_not_given_is_not_needed(self) -> None:
        block, hidden = self.made(), states(2, 5, self.width)
        first = self.forward(block, hidden)
        self.forward(block, states(2, 3, self.width, seed=9))
        close(self.forward(block, hidden), first, 0, "it remembers the sequence before; state belongs into the cache")
