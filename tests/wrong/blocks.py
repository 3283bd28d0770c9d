"""Right blocks, and plausible wrong ones, each with the check that must catch it. Run by test_kit_models.py."""

from __future__ import annotations

from typing import Any

import torch
from dougong.testing import BlockConformance
from torch import nn
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

NORM = {"name": "block.rmsnorm"}  # what is declared of it is right
RECURRENCE = {**NORM, "mixes": True, "causal": True, "cached": True}
ATTENTION = {"name": "block.attention", "params": {"heads": 2}, "mixes": True, "causal": True, "cached": True}


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        suite = {
            **(ATTENTION if issubclass(cls, Attends) else RECURRENCE if issubclass(cls, Recurs) else NORM),
            "builder": lambda self, **overrides: cls,
            **attributes,
        }
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (BlockConformance,), suite)
        return cls

    return declare


class Attends(nn.Module):
    """Causal attention of two heads, with rotary positions."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.layer_idx, width = layer_idx, config.hidden_size
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def rotated(self, q: Any, k: Any, positions: Any) -> Any:
        d = q.shape[-1]
        angle = positions[..., None].float() * 100.0 ** (-torch.arange(0, d, 2) / d)
        angle = torch.cat((angle, angle), -1)
        return apply_rotary_pos_emb(q, k, angle.cos().to(q.dtype), angle.sin().to(q.dtype))

    def remembered(self, k: Any, v: Any, past: Any) -> Any:
        return (k, v) if past is None else past.update(k, v, self.layer_idx)

    def mask(self, mask: Any, queries: int, keys: int) -> Any:
        return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries) if mask is None else mask

    def forward(
        self,
        hidden: Any,
        *,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> Any:
        parts = self.qkv(hidden).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in parts)
        q, k = self.rotated(q, k, position_ids)
        k, v = self.remembered(k, v, past_key_values)
        mask = self.mask(attention_mask, q.shape[2], k.shape[2])
        out = F.scaled_dot_product_attention(q, k, v, mask)
        return self.out(out.transpose(1, 2).flatten(2))


@judged()
class RightAttention(Attends):
    """As it should be."""


@judged("test_a_position_sees_what_it_may")
class Sees(Attends):
    """No mask where none is given: sdpa means causal by that."""

    def mask(self, mask: Any, queries: int, keys: int) -> Any:
        return mask


@judged("test_padding_on_the_left_changes_nothing")
class Pads(Attends):
    """Attends to padding."""

    def mask(self, mask: Any, queries: int, keys: int) -> Any:
        return super().mask(None, queries, keys)


@judged("test_a_piece_at_a_time_gives_the_same")
class Restarts(Attends):
    """Counts positions from 0 in each piece."""

    def rotated(self, q: Any, k: Any, positions: Any) -> Any:
        return super().rotated(q, k, torch.arange(q.shape[2])[None])


@judged("test_a_piece_at_a_time_gives_the_same")
class KeepsKeys(Attends):
    """The first values over and over."""

    def remembered(self, k: Any, v: Any, past: Any) -> Any:
        if past is None:
            return k, v
        keys, values = past.update(k, v, self.layer_idx)
        return keys, values[:, :, :1].expand_as(values)


@judged("test_layers_share_a_cache_without_mixing")
class FirstLayer(Attends):
    """Every layer writes into the cache's first."""

    def remembered(self, k: Any, v: Any, past: Any) -> Any:
        return (k, v) if past is None else past.update(k, v, 0)


@judged("test_a_cache_that_is_not_given_is_not_needed")
class Hoards(Attends):
    """Keeps keys and values in itself."""

    held: Any = None

    def remembered(self, k: Any, v: Any, past: Any) -> Any:
        if past is None and self.held is not None and self.held[0].shape[:2] == k.shape[:2]:
            k, v = (torch.cat((old, new), 2) for old, new in zip(self.held, (k, v)))
        self.held = (k.detach(), v.detach())
        return super().remembered(k, v, past)


class Recurs(nn.Module):
    """A sum of the past that fades, and leaves padding out; its cache is one of recurrent layers."""

    layer_type = "linear_attention"

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.layer_idx, self.map = layer_idx, nn.Linear(config.hidden_size, config.hidden_size)

    def masked(self, x: Any, padding: Any) -> Any:
        return x if padding is None else x * padding[..., None].to(x.dtype)

    def begun(self, x: Any, past: Any) -> Any:
        kept = None if past is None else past.layers[self.layer_idx].recurrent_states[0]
        return torch.zeros_like(x[:, 0]) if kept is None else kept.clone()

    def forward(self, hidden: Any, *, padding_mask: Any = None, past_key_values: Any = None, **_: Any) -> Any:
        x, out = self.masked(self.map(hidden), padding_mask), []
        state = self.begun(x, past_key_values)
        for at in range(x.shape[1]):
            state = 0.5 * state + x[:, at]
            out.append(state)
        if past_key_values is not None:
            past_key_values.update_recurrent_state(state, self.layer_idx)
        return torch.stack(out, 1)


@judged()
class RightRecurrence(Recurs):
    """As it should be."""


@judged()
class LargeRecurrence(Recurs):
    """Right, of outputs far beyond 1: what differs by rounding grows with them."""

    def masked(self, x: Any, padding: Any) -> Any:
        return 1e3 * super().masked(x, padding)


@judged("test_padding_on_the_left_changes_nothing")
class Absorbs(Recurs):
    """Padding moves the state."""

    def masked(self, x: Any, padding: Any) -> Any:
        return x


@judged("test_a_piece_at_a_time_gives_the_same")
class Forgets(Recurs):
    """Begins each piece with nothing."""

    def begun(self, x: Any, past: Any) -> Any:
        return torch.zeros_like(x[:, 0])


@judged("test_a_position_sees_what_it_may")
class LooksAhead(Recurs):
    """The next position is in it too."""

    def masked(self, x: Any, padding: Any) -> Any:
        x = super().masked(x, padding)
        return x + F.pad(x, (0, 0, 0, 1))[:, 1:]


@judged()
class RightScale(nn.Module):
    """Nothing to learn, and nothing to save."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()

    def forward(self, hidden: Any, **_: Any) -> Any:
        return 2 * hidden


@judged("test_a_position_sees_what_it_may")
class Constant(RightScale):
    """What stands at a position is lost."""

    def forward(self, hidden: Any, **_: Any) -> Any:
        return 0 * hidden + 1


@judged()
class RightNorm(nn.Module):
    """Root mean square normalisation."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))

    def init_block(self, std: float) -> None:
        nn.init.ones_(self.weight)

    def scale(self, x: Any) -> Any:
        return torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)

    def forward(self, hidden: Any, **_: Any) -> Any:
        x = hidden.float()
        return (x * self.scale(x)).to(hidden.dtype) * self.weight


@judged("test_shape_and_type_are_kept")
class Upcasts(RightNorm):
    """Stays in float32."""

    def forward(self, hidden: Any, **_: Any) -> Any:
        return super().forward(hidden.float())


@judged("test_shape_and_type_are_kept")
class Pair(RightNorm):
    """Gives weights along."""

    def forward(self, hidden: Any, **_: Any) -> Any:
        return super().forward(hidden), None


@judged("test_large_and_zero_states_stay_finite")
class NoEps(RightNorm):
    """Divides by zero."""

    def scale(self, x: Any) -> Any:
        return torch.rsqrt(x.pow(2).mean(-1, keepdim=True))


@judged("test_keywords_that_it_does_not_know_pass")
class Closed(RightNorm):
    """Takes the keywords that it knows."""

    def forward(
        self, hidden: Any, *, attention_mask: Any = None, position_ids: Any = None, past_key_values: Any = None
    ) -> Any:
        return super().forward(hidden)


@judged("test_the_input_is_not_changed")
class InPlace(RightNorm):
    """Saves memory at its caller's cost."""

    def forward(self, hidden: Any, **_: Any) -> Any:
        out = super().forward(hidden)
        if not hidden.requires_grad:
            hidden.mul_(0.5)
        return out


@judged("test_rows_of_a_batch_do_not_touch")
class BatchMean(RightNorm):
    """Normalises over the batch."""

    def scale(self, x: Any) -> Any:
        return torch.rsqrt(x.pow(2).mean((0, -1), keepdim=True) + 1e-5)


@judged("test_a_position_sees_what_it_may")
class LengthMean(RightNorm):
    """Normalises over the length."""

    def scale(self, x: Any) -> Any:
        return torch.rsqrt(x.pow(2).mean((1, 2), keepdim=True) + 1e-5)


@judged("test_every_parameter_has_a_gradient")
class Data(RightNorm):
    """Goes round autograd."""

    def forward(self, hidden: Any, **_: Any) -> Any:
        return hidden * self.scale(hidden) * self.weight.data


@judged("test_gradients_are_the_derivatives")
class Detached(RightNorm):
    """Takes its scale for a constant."""

    def scale(self, x: Any) -> Any:
        return super().scale(x).detach()


@judged("test_evaluation_has_no_chance_in_it")
class Drops(RightNorm):
    """Drops in evaluation too."""

    def forward(self, hidden: Any, **_: Any) -> Any:
        return F.dropout(super().forward(hidden), 0.1)


@judged("test_the_config_is_read_and_never_written")
class Writes(RightNorm):
    """Leaves a note in the config."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config, layer_idx)
        config.norm_layers = getattr(config, "norm_layers", 0) + 1


SHARED = nn.Linear(16, 16)


@judged("test_each_is_made_anew")
class Shares(RightNorm):
    """One map for all layers."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config, layer_idx)
        self.map = SHARED

    def forward(self, hidden: Any, **_: Any) -> Any:
        return self.map(super().forward(hidden))


@judged("test_it_can_stand_outside_the_layers")
class Numbered(RightNorm):
    """Needs a number."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config)
        self.depth = 1 + layer_idx  # type: ignore[operator]


@judged("test_a_state_dict_makes_an_equal_one")
class Random(RightNorm):
    """A random number that is not in its state."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config)
        self.gain = 1 + torch.rand(()).item()

    def forward(self, hidden: Any, **_: Any) -> Any:
        return self.gain * super().forward(hidden)


@judged("test_fresh_weights_are_drawn_and_finite")
class Empty(RightNorm):
    """Memory as it comes, for transformers to fill; it knows nothing of this parameter."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config)
        self.bias = nn.Parameter(torch.zeros(config.hidden_size))

    def forward(self, hidden: Any, **_: Any) -> Any:
        return super().forward(hidden) + self.bias


class _Gate(RightNorm):
    """A matrix that starts at zeros."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config)
        self.gate = nn.Parameter(torch.zeros(config.hidden_size, config.hidden_size))

    def init_block(self, std: float) -> None:
        super().init_block(std)
        nn.init.zeros_(self.gate)

    def forward(self, hidden: Any, **_: Any) -> Any:
        return super().forward(hidden) + hidden @ self.gate


@judged(fixed=("gate",))
class RightGate(_Gate):
    """On purpose."""


@judged("test_fresh_weights_are_drawn_and_finite")
class Undrawn(_Gate):
    """By mistake."""


@judged("test_a_saved_model_with_it_loads_and_computes_the_same")
class Buffered(RightNorm):
    """A table that is not saved, and gone after loading."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(config)
        self.register_buffer("table", torch.linspace(1, 2, config.hidden_size), persistent=False)

    def forward(self, hidden: Any, **_: Any) -> Any:
        return super().forward(hidden) * self.table


@judged("test_it_keeps_its_own_promises", expected=lambda self, block, x: F.layer_norm(x, x.shape[-1:], block.weight))
class Centred(RightNorm):
    """Calls itself layer norm, and does not subtract the mean."""
