"""A block, called and compared as its suite does. Imports torch and transformers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import torch
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import (
    create_bidirectional_mask,
    create_causal_mask,
    create_recurrent_attention_mask,
    create_sliding_window_causal_mask,
)

from dougong.testing.conformance import Conformance

RECURRENT = {"linear_attention"}


class BlockUse(Conformance):
    """What a suite of a block says of it, and how it is built, called, and compared.

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

    width: int = 16
    mixes: bool = False
    causal: bool = False
    cached: bool = False
    narrow: bool = False
    unused: Sequence[str] = ()
    fixed: Sequence[str] = ()
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

    def cache(self, block: Any) -> Any:
        """An empty cache of two layers, of the form that the block's parts say they work with."""
        config, types = self.config(), layer_types(block)
        kind = "hybrid" if types >= RECURRENT else next(iter(types), "full_attention")
        config.layer_types = [kind, kind]
        config.sliding_window = _said(block, "sliding_window")
        config.number_of_conv_states = 1 + (_said(block, "state_idx") or 0)
        return DynamicCache(config=config)

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
            return [self.forward(built, states(2, 5, self.width)), self.forward(built, states(1, 1, self.width))]

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
        config, types, mask = self.config(implementation), layer_types(block), None
        seen = past.get_seq_length() if past is not None else 0
        positions = torch.arange(seen, seen + hidden.shape[1])[None].expand(len(hidden), -1)
        if padding is not None:
            positions = (padding.cumsum(1) - 1).clamp(min=0)[:, -hidden.shape[1] :]
        if types == RECURRENT:
            if past is not None:  # which counts no tokens where nothing attends; a network keeps one number for each
                tick = hidden.new_zeros(len(hidden), 1, hidden.shape[1], 1)
                past.update(tick, tick, 0)
        elif self.causal:
            config.sliding_window = _said(block, "sliding_window")
            windowed = "sliding_attention" in types
            create = create_sliding_window_causal_mask if windowed else create_causal_mask
            mask = create(config, hidden, padding, past, positions)
        elif self.mixes:
            mask = create_bidirectional_mask(config, hidden, padding)
            kwargs["is_causal"] = False
        given = {"attention_mask": mask, "position_ids": positions, "past_key_values": past}
        given["padding_mask"] = create_recurrent_attention_mask(config, hidden, padding)
        out: torch.Tensor = block(hidden, **given, **kwargs)
        return out

    def same(self, found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
        """Fail with `what` where they are further apart than the tolerance."""
        largest = wanted.abs().max().item() if wanted.numel() else 0.0
        close(found, wanted, self.tolerance * max(1.0, largest), what)

    def implementations(self) -> Sequence[str]:
        """Of attention, that it is tried with."""
        return ("eager", "sdpa") if self.mixes else ("sdpa",)


def layer_types(block: Any) -> set[str]:
    """What the parts of a block keep in the cache, in transformers' words."""
    return {kind for module in block.modules() if (kind := getattr(module, "layer_type", None))}


def _said(block: Any, fact: str) -> Any:
    """The largest of what the block's parts say of themselves; None if none says it."""
    values = (getattr(module, fact, None) for module in block.modules())
    return max((value for value in values if value is not None), default=None)


def close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float, what: str) -> None:
    """Fail with `what` and the largest difference."""
    assert found.shape == wanted.shape, f"{what}: shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
    apart = (found - wanted).abs().max().item() if found.numel() else 0.0
    assert apart <= tolerance, f"{what}: by {apart:.2g}, more than {tolerance:.2g}"


def states(batch: int, length: int, width: int, seed: int = 1) -> torch.Tensor:
    """Hidden states ``(batch, length, width)`` from a seed."""
    return torch.randn(batch, length, width, generator=torch.Generator().manual_seed(seed))


def host(config: Any, build: Callable[..., Any], layer_idx: int = 0) -> Any:
    """A model of transformers that is the block and one number, since one without any weight cannot be saved."""

    class Host(PreTrainedModel):  # type: ignore[misc]
        config_class = PreTrainedConfig
        _supports_sdpa = _supports_attention_backend = True

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.block, self.number = build(config, layer_idx), torch.nn.Linear(1, 1, bias=False)
            self.post_init()

        def _init_weights(self, module: torch.nn.Module) -> None:
            super()._init_weights(module)
            if hasattr(module, "init_block"):
                module.init_block(self.config.initializer_range)

    return Host(config)
