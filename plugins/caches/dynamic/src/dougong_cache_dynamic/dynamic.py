"""Keys and values of all tokens, one tensor a layer that grows: transformers' own."""

from __future__ import annotations

from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel

from dougong_cache_dynamic import Params


class Dynamic:
    """The technique: a network to an empty cache with the layers that its config names."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self, network: PreTrainedModel) -> Cache:
        cache = DynamicCache(config=network.config)
        return EncoderDecoderCache(cache, DynamicCache()) if network.config.is_encoder_decoder else cache
