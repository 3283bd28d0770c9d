"""Xiao et al. 2024, https://arxiv.org/abs/2309.17453, section 3.2: the first tokens and the last ones are kept, and
distances are those *inside the cache*, not those in the text."""

from __future__ import annotations

from typing import Any

import torch
from dougong import BuildError, CallError
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.cache_utils import DYNAMIC_LAYER_TYPE_MAPPING, DynamicLayer, get_layer_types_and_kwargs

from dougong_cache_sliding import Params
from dougong_cache_sliding.rotation import Turn, turn_of


class Sliding:
    """The technique: a network to an empty cache of ``sinks + window - 1`` tokens a layer.

    Layers that keep a window or a recurrent state anyway keep transformers' own. Raises BuildError for networks whose
    keys cannot be moved to another position, and for layers that keep everything beside a recurrent state.
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self, network: PreTrainedModel) -> Cache:
        types, settings = get_layer_types_and_kwargs(network.config.get_text_config(decoder=True))
        if growing := {"hybrid", "indexed_attention"} & set(types):
            raise BuildError(
                f"layers of type {growing.pop()} keep more than keys and values", technique="cache.sliding"
            )
        padding = Padding()
        layers = [
            SinkLayer(self.params, turn_of(network, index), padding)
            if kind == "full_attention"
            else DYNAMIC_LAYER_TYPE_MAPPING[kind](**kwargs)
            for index, (kind, kwargs) in enumerate(zip(types, settings, strict=True))
        ]
        for module in network.modules():  # whichever of them is called by generate, or by an adapter around it
            if isinstance(module, PreTrainedModel) and _note_padding not in module._forward_pre_hooks.values():
                module.register_forward_pre_hook(_note_padding, with_kwargs=True)
        cache = SinkCache(layers, padding)
        return EncoderDecoderCache(cache, DynamicCache()) if network.config.is_encoder_decoder else cache


class Padding:
    """`left`: how many tokens of padding each row begins with, ``(batch,)``; None where no row has any."""

    left: torch.Tensor | None = None


class SinkCache(Cache):
    def __init__(self, layers: list[Any], padding: Padding) -> None:
        super().__init__(layers=layers)
        self.padding = padding


def _note_padding(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A layer of a cache never sees the mask, but the sinks of a padded row are its first *tokens*."""
    past = getattr(kwargs.get("past_key_values"), "self_attention_cache", kwargs.get("past_key_values"))
    mask = kwargs.get("attention_mask")
    if isinstance(past, SinkCache) and past.get_seq_length() == 0 and not isinstance(mask, dict):
        padded = isinstance(mask, torch.Tensor) and mask.ndim == 2 and not mask[:, 0].all()
        past.padding.left = (mask.cumsum(1) == 0).sum(1) if padded else None


class SinkLayer(DynamicLayer):
    """Keys and values ``(batch, heads, at most sinks + window - 1, d)``, keys as they came in.

    What is kept stands in the order of the text, so that recent keys are as far from a query as they were. Only the
    sinks must come nearer: they are turned forward by the number of tokens left out between, each time anew from what
    came in, so that no error adds up. A piece of q tokens sees what was kept before it, and itself.
    """

    is_croppable = False

    def __init__(self, params: Params, turn: Turn | None, padding: Padding) -> None:
        super().__init__()
        self.sinks, self.room = params.sinks, params.sinks + params.window - 1
        self.turn, self.padding = turn, padding
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.seen = 0
        self.left: torch.Tensor | None = None
        self.evicted: torch.Tensor | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.evicted = torch.zeros(len(key_states), dtype=torch.long, device=key_states.device)
        if self.padding.left is not None:
            self.left = self.padding.left.to(key_states.device)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys = torch.cat([self.keys, key_states], dim=-2)
        values = torch.cat([self.values, value_states], dim=-2)
        drop = max(0, keys.shape[-2] - self.room)
        front = self._padding_in_front(drop)
        self.keys, self.values = self._kept(keys, drop, front), self._kept(values, drop, front)
        if self.turn is not None and self.sinks and self.seen > self.room:
            # What is kept is a copy by now, so that the sinks may be turned where they are.
            keys[:, :, : self.sinks] = self.turn(keys[:, :, : self.sinks], self.evicted)
        self.evicted = self.evicted + drop if front is None else self.evicted + drop - front
        self.seen += key_states.shape[-2]
        return keys, values

    def _padding_in_front(self, drop: int) -> torch.Tensor | None:
        """How many of the `drop` tokens that go are padding at a row's beginning, ``(batch,)``; None if no row's."""
        if self.left is None or not drop:
            return None
        begin = self.seen - self.keys.shape[-2]
        if self.seen > self.room and not (self.left > begin).any():
            self.left = None  # all of it is gone for good
            return None
        return (self.left - begin).clamp(0, drop)

    def _kept(self, states: torch.Tensor, drop: int, front: torch.Tensor | None) -> torch.Tensor:
        """`states` without `drop` columns after the sinks; what is padding goes first, from before them."""
        if not drop:
            return states
        if front is None:
            return torch.cat([states[:, :, : self.sinks], states[:, :, self.sinks + drop :]], dim=-2)
        column = torch.arange(self.room, device=states.device)
        source = torch.where(column < self.sinks, column + front[:, None], column + drop)
        return states.gather(2, source[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3]))

    def get_seq_length(self) -> int:
        return self.seen

    def get_max_length(self) -> int:
        return -1  # it takes any number of tokens

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        held = self.keys.shape[-2] if self.is_initialized else 0
        return held + query_length, self.seen - held

    def crop(self, tokens_to_remove: int) -> None:
        if self.is_initialized and tokens_to_remove and self.seen > self.keys.shape[-2]:
            raise CallError(
                "the cache cannot be cut back: what has left the window is gone",
                hint="use cache.dynamic, or a larger window",
                technique="cache.sliding",
            )
        super().crop(tokens_to_remove)
        self.seen = self.keys.shape[-2] if self.is_initialized else 0

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        if self.is_initialized:
            rows = torch.arange(len(self.keys), device=self.keys.device)
            self.batch_select_indices(rows.repeat_interleave(repeats))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        if self.is_initialized:
            for name in ("keys", "values", "evicted", "left"):
                if (held := getattr(self, name)) is not None:
                    setattr(self, name, held[indices.to(held.device)])
