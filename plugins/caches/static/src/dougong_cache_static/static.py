"""Keys and values of all tokens in tensors allocated once: transformers' own, which says when it is full."""

from __future__ import annotations

from typing import Any

import torch
from dougong import CallError
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel, StaticCache
from transformers.cache_utils import StaticLayer

from dougong_cache_static import Params


class Static:
    """The technique: a network to an empty cache with room for `params.tokens`."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self, network: PreTrainedModel) -> Cache:
        cache = FixedCache(network.config, self.params.tokens)
        return EncoderDecoderCache(cache, DynamicCache()) if network.config.is_encoder_decoder else cache


class FixedCache(StaticCache):
    """Raises CallError where a token more than `tokens` would come in; transformers' own fails inside torch."""

    def __init__(self, config: Any, tokens: int) -> None:
        super().__init__(config, max_cache_len=tokens)
        self._tokens, self._held = tokens, 0
        full = [isinstance(layer, StaticLayer) and not layer.is_sliding for layer in self.layers]
        self._counted = full.index(True) if True in full else None  # windows are never full

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any):
        # A Python number: the layer's own count is a tensor, and reading it would stop an accelerator at each step. In
        # a compiled step a number that changes would compile anew each time.
        if layer_idx == self._counted and not torch.compiler.is_compiling():
            if self._held + key_states.shape[-2] > self._tokens:
                raise CallError(
                    f"the cache has room for {self._tokens} tokens, not for {self._held + key_states.shape[-2]}",
                    hint="set tokens of cache.static to the longest prompt and its reply together",
                    technique="cache.static",
                )
            self._held += key_states.shape[-2]
        return super().update(key_states, value_states, layer_idx, *args, **kwargs)

    def reset(self) -> None:
        super().reset()
        self._held = 0
