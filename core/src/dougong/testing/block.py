"""What holds for every block of a network. Imports torch and transformers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import pytest
import torch
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from dougong.testing.conformance import Conformance


class BlockConformance(Conformance):
    """A block keeps its promises of `dougong.kinds.Block`, alone and inside a model of transformers.

    Attributes:
        width: features of the hidden states; the other sizes that a config promises are fixed.
        mixes: positions see each other. Else what it gives at a position depends on what stands there alone.
        causal: a position sees none that comes after it.
        cached: it can work a piece at a time, through a cache.
        narrow: it takes ``width=...`` at building, as what normalises a head must.
        unused: names of parameters that have no gradient for a reason.
        drops: params with which it drops a share of something in training; None if it never does.
    """

    width: int = 16
    mixes: bool = False
    causal: bool = False
    cached: bool = False
    narrow: bool = False
    unused: Sequence[str] = ()
    drops: Mapping[str, Any] | None = None
    kind: ClassVar[str] = "block"
    tolerance = 1e-5

    # ------------------------------------------------------------ hooks

    def builder(self, **overrides: Any) -> Callable[..., torch.nn.Module]:
        """What makes the block out of ``(config, layer_idx)``."""
        from dougong.assemble import _Builder

        assembly = self.assembly(**overrides)
        getattr(self, "_assemblies", []).append(assembly)
        return _Builder(assembly, assembly.document.plans["made"])

    def expected(self, block: Any, hidden: torch.Tensor) -> torch.Tensor | None:
        """What its paper's equations give for `hidden`, by another way; None for no check."""
        return None

    def cache(self) -> Any:
        """An empty cache of the form that it works with."""
        return DynamicCache()

    def build(self, **overrides: Any) -> Any:
        return self.made(**overrides)

    def prepare(self, built: Any) -> None:
        """Weights from a seed, far enough from zero that every part shows."""
        generator = torch.Generator().manual_seed(5)
        for parameter in built.parameters():
            value = torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(1 + 0.3 * value if parameter.ndim == 1 else 0.3 * value)

    def observe(self, built: Any) -> Any:
        with torch.no_grad():
            return [self.forward(built, _hidden(2, 5, self.width)), self.forward(built, _hidden(1, 1, self.width))]

    def made(self, config: Any = None, layer_idx: int | None = 0, **overrides: Any) -> Any:
        """A block with seeded weights, in evaluation mode."""
        torch.set_num_threads(1)
        torch.manual_seed(0)
        block = self.builder(**overrides)(config or self.config(), layer_idx).eval()
        assert isinstance(block, torch.nn.Module), "a block is a torch.nn.Module"
        self.prepare(block)
        return block

    def config(self, implementation: str = "sdpa") -> Any:
        config = PreTrainedConfig(
            hidden_size=self.width,
            max_position_embeddings=64,
            num_hidden_layers=2,
            initializer_range=0.2,
            vocab_size=32,
        )
        config._attn_implementation = implementation
        return config

    def forward(
        self,
        block: Any,
        hidden: torch.Tensor,
        padding: torch.Tensor | None = None,
        past: Any = None,
        implementation: str = "sdpa",
        **kwargs: Any,
    ) -> torch.Tensor:
        """What the block gives, called as a network calls it. `padding` is 1 where a token stands, else 0."""
        config, seen = self.config(implementation), past.get_seq_length() if past is not None else 0
        positions = torch.arange(seen, seen + hidden.shape[1])[None].expand(len(hidden), -1)
        if padding is not None:
            positions = (padding.cumsum(1) - 1).clamp(min=0)[:, -hidden.shape[1] :]
        mask = None
        if self.causal:
            mask = create_causal_mask(config, hidden, padding, past, positions)
        elif self.mixes:
            mask = create_bidirectional_mask(config, hidden, padding)
            kwargs["is_causal"] = False
        given = {"attention_mask": mask, "position_ids": positions, "past_key_values": past}
        out: torch.Tensor = block(hidden, **given, **kwargs)
        return out

    # ------------------------------------------------------------ shapes

    def test_shape_and_type_are_kept(self) -> None:
        block = self.made()
        for shape in ((1, 1), (2, 5), (3, 9)):
            hidden = _hidden(*shape, self.width)
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
            assert torch.isfinite(self.forward(block, scale * _hidden(2, 4, self.width))).all(), (
                f"at a scale of {scale}"
            )

    def test_keywords_that_it_does_not_know_pass(self) -> None:
        block, hidden = self.made(), _hidden(2, 5, self.width)
        out = self.forward(block, hidden, use_cache=False, output_attentions=False, of_another_block=object())
        close(out, self.forward(block, hidden), 0, "a keyword that is not its own changes what it gives")

    def test_the_input_is_not_changed(self) -> None:
        block, hidden = self.made(), _hidden(2, 5, self.width)
        before, weights = hidden.clone(), {name: value.clone() for name, value in block.state_dict().items()}
        self.forward(block, hidden)
        assert torch.equal(hidden, before), "hidden is the caller's: no in-place operations on it"
        for name, value in block.state_dict().items():
            assert torch.equal(value, weights[name]), f"evaluating changes {name}"

    def test_it_keeps_its_own_promises(self) -> None:
        """`expected`: the equations of its paper."""
        block, hidden = self.made(), _hidden(2, 5, self.width)
        wanted = self.expected(block, hidden)
        if wanted is not None:
            close(self.forward(block, hidden), wanted, self.tolerance, "it does not follow its equations")

    # ------------------------------------------------------------ what depends on what

    def test_rows_of_a_batch_do_not_touch(self) -> None:
        block, hidden = self.made(), _hidden(3, 5, self.width)
        together = self.forward(block, hidden)
        alone = torch.cat([self.forward(block, row[None]) for row in hidden])
        close(together, alone, self.tolerance, "a row depends on what else is in its batch")

    def test_a_position_sees_what_it_may(self) -> None:
        block, hidden = self.made(), _hidden(2, 7, self.width)
        for implementation in self._implementations():
            plain = self.forward(block, hidden, implementation=implementation)
            other = hidden.clone()
            other[:, 4] += 1.0
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
        hidden, padding = _hidden(2, 6, self.width), torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
        real = padding[..., None].bool()
        outs = []
        for implementation in self._implementations():
            block = self.made(self.config(implementation))
            outs.append(torch.where(real, self.forward(block, hidden, padding, implementation=implementation), 0.0))
        for out in outs[1:]:
            close(out, outs[0], self.tolerance, "eager and sdpa do not agree")

    def test_padding_on_the_left_changes_nothing(self) -> None:
        for implementation in self._implementations():
            block = self.made(self.config(implementation))
            hidden = _hidden(2, 5, self.width)
            alone = self.forward(block, hidden, torch.ones(2, 5, dtype=torch.long), implementation=implementation)
            rubbish = torch.cat([10 * _hidden(2, 3, self.width), hidden], 1)
            padding = torch.tensor([[0] * 3 + [1] * 5] * 2)
            padded = self.forward(block, rubbish, padding, implementation=implementation)[:, 3:]
            close(padded, alone, self.tolerance, f"padding on the left changes what follows it ({implementation})")

    def test_a_piece_at_a_time_gives_the_same(self) -> None:
        if not self.cached:
            pytest.skip("it uses no cache")
        block, hidden = self.made(), _hidden(2, 7, self.width)
        whole = self.forward(block, hidden)
        for pieces in ((1,) * 7, (3, 1, 1, 2), (6, 1)):
            past, outs, at = self.cache(), [], 0
            for length in pieces:
                outs.append(self.forward(block, hidden[:, at : at + length], past=past))
                at += length
            close(torch.cat(outs, 1), whole, self.tolerance, f"through a cache in pieces of {pieces} it gives another")

    def test_layers_share_a_cache_without_mixing(self) -> None:
        if not self.cached:
            pytest.skip("it uses no cache")
        hidden, shared = _hidden(1, 4, self.width), self.cache()
        blocks = [self.made(layer_idx=index) for index in (0, 1)]
        for step in range(4):
            piece = hidden[:, step : step + 1]
            positions = torch.full((1, 1), step)
            given = {"attention_mask": None, "position_ids": positions, "past_key_values": shared}
            first, second = blocks[0](piece, **given), blocks[1](piece, **given)
            close(second, first, self.tolerance, "equal layers give different results: the cache's layers are mixed up")

    def test_a_cache_that_is_not_given_is_not_needed(self) -> None:
        block, hidden = self.made(), _hidden(2, 5, self.width)
        first = self.forward(block, hidden)
        self.forward(block, _hidden(2, 3, self.width, seed=9))
        close(self.forward(block, hidden), first, 0, "it remembers the sequence before; state belongs into the cache")

    # ------------------------------------------------------------ training

    def test_every_parameter_has_a_gradient(self) -> None:
        block, hidden = self.made().train(), _hidden(2, 6, self.width).requires_grad_()
        (self.forward(block, hidden) * _hidden(2, 6, self.width, seed=3)).sum().backward()
        assert hidden.grad is not None, "no gradient reaches the input"
        assert torch.isfinite(hidden.grad).all()
        assert hidden.grad.abs().max() > 0
        for name, parameter in block.named_parameters():
            if name not in self.unused:
                assert parameter.grad is not None, f"{name} has no gradient"
                assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
                assert parameter.grad.abs().max() > 1e-6, f"the gradient of {name} is zero"

    def test_gradients_are_the_derivatives(self) -> None:
        """Along random directions in float64, against central differences."""
        block = self.made().double()
        hidden, weight = _hidden(1, 4, self.width).double(), _hidden(1, 4, self.width, seed=3).double()
        hidden.requires_grad_()
        parts = [hidden, *block.parameters()]

        def loss() -> torch.Tensor:
            return (self.forward(block, hidden) * weight).sum()

        gradients = torch.autograd.grad(loss(), parts, allow_unused=True)
        generator = torch.Generator().manual_seed(11)
        for part, gradient in zip(parts, gradients):
            direction = torch.randn(part.shape, generator=generator, dtype=torch.float64)
            direction /= direction.norm()
            values, step = [], 1e-3
            for sign in (1, -2):
                part.data += sign * step * direction
                values.append(loss().item())
            part.data += step * direction
            slope = (values[0] - values[1]) / (2 * step)
            found = 0.0 if gradient is None else (gradient * direction).sum().item()
            assert found == pytest.approx(slope, rel=2e-2, abs=2e-3), f"gradient {found}, difference quotient {slope}"

    def test_evaluation_has_no_chance_in_it(self) -> None:
        block, hidden = self.made(), _hidden(2, 5, self.width)
        torch.manual_seed(1)
        first = self.forward(block, hidden)
        torch.manual_seed(2)
        assert torch.equal(self.forward(block, hidden), first), "it draws random numbers in evaluation mode"

    def test_dropout_acts_in_training_only(self) -> None:
        hidden = _hidden(2, 6, self.width)
        for implementation in self._implementations() if self.drops is not None else ():
            config = self.config(implementation)
            plain = self.forward(self.made(config), hidden, implementation=implementation)
            block = self.made(config, **self.drops or {})
            evaluated = self.forward(block, hidden, implementation=implementation)
            close(evaluated, plain, 0, "dropout acts in evaluation")
            first, second = (self.forward(block.train(), hidden, implementation=implementation) for _ in range(2))
            assert not torch.equal(first, second), f"nothing is dropped in training ({implementation})"

    # ------------------------------------------------------------ building

    def test_the_config_is_read_and_never_written(self) -> None:
        config = self.config()
        before = repr(sorted(vars(config).items(), key=lambda item: item[0]))
        block = self.builder()(config, 0).eval()
        self.forward(block, _hidden(1, 3, self.width))
        after = repr(sorted(vars(config).items(), key=lambda item: item[0]))
        assert after == before, "a block wrote to the config, which all blocks share"

    def test_each_is_made_anew(self) -> None:
        build = self.builder()
        first, second = build(self.config(), 0), build(self.config(), 1)
        mine = {parameter.data_ptr() for parameter in first.parameters()}
        assert not [p for p in second.parameters() if p.data_ptr() in mine], "two layers share a weight"
        assert not {id(m) for m in first.modules()} & {id(m) for m in second.modules()}, "two layers share a module"

    def test_it_can_stand_outside_the_layers(self) -> None:
        if self.cached:
            pytest.skip("what is cached belongs to a layer")
        block = self.made(layer_idx=None)
        assert self.forward(block, _hidden(1, 2, self.width)).shape == (1, 2, self.width)

    def test_it_can_be_narrower_than_the_network(self) -> None:
        if not self.narrow:
            pytest.skip("it has the width of the network")
        block = self.builder()(self.config(), 0, width=6)
        assert block(_hidden(2, 3, 6)).shape == (2, 3, 6), "width= gives another width than the config's"

    def test_a_state_dict_makes_an_equal_one(self) -> None:
        first, hidden = self.made(), _hidden(2, 4, self.width)
        second = self.builder()(self.config(), 0).eval()
        second.load_state_dict(first.state_dict())
        close(self.forward(second, hidden), self.forward(first, hidden), 0, "what it computes is not all in its state")

    def test_fresh_weights_are_drawn_and_finite(self) -> None:
        """Also where a network is built without memory and initialised afterwards, as transformers does."""
        build = self.builder()
        with torch.device("meta"):
            host = _host(self.config(), build)
        host.to_empty(device="cpu")
        for tensor in (*host.parameters(), *host.buffers()):
            if tensor.is_floating_point():
                tensor.data.fill_(float("nan"))
        for module in host.modules():
            host._init_weights(module)
        for name, tensor in (*host.named_parameters(), *host.named_buffers()):
            assert torch.isfinite(tensor).all(), (
                f"{name} is not initialised after building on the meta device; give its module init_block(std)"
            )
        matrices = [p for p in host.parameters() if p.ndim > 1]
        assert all(0 < p.std() < 2 for p in matrices), "weights are all the same, or far too large"

    def test_a_saved_model_with_it_loads_and_computes_the_same(self) -> None:
        torch.manual_seed(0)
        build = self.builder()
        host = _host(self.config(), build).eval()
        self.prepare(host)
        host.save_pretrained(self.folder / "host")
        again = type(host).from_pretrained(self.folder / "host", attn_implementation="sdpa").eval()
        hidden = _hidden(2, 4, self.width)
        wanted, found = self.forward(host.block, hidden), self.forward(again.block, hidden)
        close(
            found, wanted, 0, "saved and loaded it computes something else; a buffer that is not saved needs init_block"
        )

    def _implementations(self) -> Sequence[str]:
        return ("eager", "sdpa") if self.mixes else ("sdpa",)


def close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float, what: str) -> None:
    """Fail with `what` and the largest difference."""
    assert found.shape == wanted.shape, f"{what}: shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
    apart = (found - wanted).abs().max().item() if found.numel() else 0.0
    assert apart <= tolerance, f"{what}: by {apart:.2g}, more than {tolerance:.2g}"


def _hidden(batch: int, length: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, length, width, generator=torch.Generator().manual_seed(seed))


def _host(config: Any, build: Callable[..., Any]) -> Any:
    """A model of transformers that is the block and nothing else."""

    class Host(PreTrainedModel):  # type: ignore[misc]
        config_class = PreTrainedConfig
        _supports_sdpa = _supports_attention_backend = True

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.block = build(config, 0)
            self.post_init()

        def _init_weights(self, module: torch.nn.Module) -> None:
            super()._init_weights(module)
            if hasattr(module, "init_block"):
                module.init_block(self.config.initializer_range)

    return Host(config)
