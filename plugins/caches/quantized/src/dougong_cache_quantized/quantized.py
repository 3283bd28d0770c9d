"""Liu et al. 2024, https://arxiv.org/abs/2402.02750 (KIVI): outliers of keys sit in some channels, so keys share a
scale along the tokens of a channel; values have none, so they share one along the channels of a token."""

from __future__ import annotations

import math
from typing import Any

import torch
from dougong import CallError
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.cache_utils import DYNAMIC_LAYER_TYPE_MAPPING, DynamicLayer, get_layer_types_and_kwargs

from dougong_cache_quantized import Params
from dougong_cache_quantized.codes import Codes, decode, encode

BY_CHANNEL, BY_TOKEN = 2, 3  # the axis along which a group runs


class Quantized:
    """The technique: a network to an empty cache. Layers with a window or a recurrent state keep transformers' own."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self, network: PreTrainedModel) -> Cache:
        types, settings = get_layer_types_and_kwargs(network.config.get_text_config(decoder=True))
        cache = Cache(
            layers=[
                KiviLayer(self.params) if kind == "full_attention" else DYNAMIC_LAYER_TYPE_MAPPING[kind](**kwargs)
                for kind, kwargs in zip(types, settings, strict=True)
            ]
        )
        return EncoderDecoderCache(cache, DynamicCache()) if network.config.is_encoder_decoder else cache


class KiviLayer(DynamicLayer):
    """Old tokens in codes, recent ones in `keys` and `values` as they came in.

    A token is quantised once, when it and its group leave the residual window; a first piece is attended to as it is.
    """

    is_croppable = False

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.old_keys: Codes | None = None
        self.old_values: Codes | None = None

    @property
    def quantized_tokens(self) -> int:
        return 0 if self.old_keys is None else self.old_keys.codes.shape[-2]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        if self.params.format == "int4" and (key_states.shape[-1] % 2 or value_states.shape[-1] % 2):
            raise CallError(
                f"heads of {key_states.shape[-1]} features do not pack in pairs of INT4",
                hint="set format: int8",
                technique="cache.quantized",
            )

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        channels = math.gcd(self.params.group, value_states.shape[-1])
        keys, self.keys = self._grown(self.old_keys, self.keys, key_states, BY_CHANNEL, self.params.group)
        values, self.values = self._grown(self.old_values, self.values, value_states, BY_TOKEN, channels)
        group = self.params.group
        if (leaving := (self.keys.shape[-2] - self.params.residual) // group * group) > 0:
            self.old_keys, self.keys = self._aged(self.old_keys, self.keys, leaving, BY_CHANNEL, group)
            self.old_values, self.values = self._aged(self.old_values, self.values, leaving, BY_TOKEN, channels)
        return keys, values

    def _grown(
        self, old: Codes | None, recent: torch.Tensor, new: torch.Tensor, dim: int, group: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All tokens, old ones decoded, and the recent ones among them."""
        recent = torch.cat([recent, new], dim=-2)
        if old is None:
            return recent, recent
        n = old.codes.shape[-2]
        whole = recent.new_empty(*recent.shape[:2], n + recent.shape[-2], recent.shape[-1])
        decode(old, dim, group, self.params.format, whole[:, :, :n])
        whole[:, :, n:] = recent
        return whole, recent

    def _aged(
        self, old: Codes | None, recent: torch.Tensor, leaving: int, dim: int, group: int
    ) -> tuple[Codes, torch.Tensor]:
        """The first `leaving` of the recent tokens join the old ones."""
        codes = encode(recent[:, :, :leaving], dim, group, self.params.format)
        if old is not None:
            old.append(codes)
        return old or codes, recent[:, :, leaving:].clone()  # a view would keep what left in memory

    def get_seq_length(self) -> int:
        return self.quantized_tokens + (self.keys.shape[-2] if self.is_initialized else 0)

    def reset(self) -> None:
        super().reset()
        self.old_keys = self.old_values = None

    def crop(self, tokens_to_remove: int) -> None:
        if self.is_initialized and abs(tokens_to_remove) > self.keys.shape[-2]:
            raise CallError(
                f"the cache can be cut back by {self.keys.shape[-2]} tokens, not by {abs(tokens_to_remove)}: "
                "older ones share their scales",
                hint="raise residual of cache.quantized",
                technique="cache.quantized",
            )
        super().crop(tokens_to_remove)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        if self.is_initialized:
            rows = torch.arange(len(self.keys), device=self.keys.device)
            self.batch_select_indices(rows.repeat_interleave(repeats))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        if self.is_initialized:
            indices = indices.to(self.keys.device)
            self.keys, self.values = self.keys[indices], self.values[indices]
            for codes in (self.old_keys, self.old_values):
                if codes is not None:
                    codes.select(indices)
