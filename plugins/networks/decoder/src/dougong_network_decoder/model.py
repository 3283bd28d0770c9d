"""Radford et al. 2018 (GPT): token embeddings, a stack of causal layers, a norm, and a linear map to the vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from dougong import Block, Builder, BuildError
from dougong.assemble import make, origin
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    Cache,
    DynamicCache,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from dougong_network_decoder import Params


class Decoder:
    """The technique: params to a model with fresh weights."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self) -> DecoderForCausalLM:
        """A new model; each call draws its weights anew. Raises BuildError where blocks do not fit together."""
        p = self.params
        blocks = {"layer": _tree("layer", p.layer), "norm": _tree("norm", p.norm) if p.norm else None}
        return DecoderForCausalLM(
            DecoderConfig(
                blocks=blocks,
                vocab_size=p.vocab,
                hidden_size=p.width,
                num_hidden_layers=p.layers,
                max_position_embeddings=p.max_positions,
                tie_word_embeddings=p.tie_embeddings,
                initializer_range=p.initializer_range,
                bos_token_id=p.bos,
                eos_token_id=p.eos,
                pad_token_id=p.pad,
            )
        )


def _tree(name: str, builder: Builder[Block]) -> dict[str, Any]:
    """What `builder` was resolved from, so that `from_pretrained` can make it again."""
    found = origin(builder)
    if found is None:
        raise BuildError(f"{name}: made by hand, it could not be saved", hint="name a technique: {'use': ...}")
    return dict(found.params)


class DecoderConfig(PreTrainedConfig):
    """Sizes under transformers' names, and `blocks`: the resolved trees of layer and norm, ``{"use": ..., ...}``."""

    model_type = "dougong_decoder"
    keys_to_ignore_at_inference = ("past_key_values",)

    blocks: dict[str, Any] | None = None
    vocab_size: int = 1
    hidden_size: int = 1
    num_hidden_layers: int = 1
    max_position_embeddings: int = 2048
    tie_word_embeddings: bool = False
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def builders(self) -> Params:
        """The params whose `layer` and `norm` make the blocks that `blocks` names."""
        if self.blocks is None:
            raise BuildError("the model's config has no blocks", hint="make the model by network.decoder")
        sizes = {"vocab": self.vocab_size, "width": self.hidden_size, "layers": self.num_hidden_layers}
        return make({"use": "network.decoder", **sizes, **self.blocks}).params


class DecoderPreTrainedModel(PreTrainedModel):
    config_class = DecoderConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ("past_key_values",)
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    _can_record_outputs: dict[str, Any] = {  # noqa: RUF012 (transformers' own form)
        "hidden_states": OutputRecorder(GradientCheckpointingLayer),
        "attentions": OutputRecorder(None, class_name=".attention_weights"),
    }

    def _init_weights(self, module: nn.Module) -> None:
        """transformers' scheme; a block that needs another has ``init_block(std)``, on ``torch.nn.init`` functions."""
        super()._init_weights(module)
        if hasattr(module, "init_block"):
            module.init_block(self.config.initializer_range)


class DecoderModel(DecoderPreTrainedModel):
    """Tokens to hidden states ``(batch, length, width)``."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        make_block = config.builders()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(make_block.layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = make_block.norm(config, None) if make_block.norm else nn.Identity()
        self.gradient_checkpointing = False
        for layer in self.layers:
            if not isinstance(layer, GradientCheckpointingLayer):
                raise BuildError(
                    f"{type(layer).__name__} is no layer of a network",
                    hint="use block.transformer, or derive it from transformers' GradientCheckpointingLayer",
                )
        self._no_split_modules = {type(layer).__name__ for layer in self.layers}
        for fact in ("num_attention_heads", "num_key_value_heads", "head_dim"):  # servers read them from config.json
            values = {getattr(module, fact) for module in self.layers.modules() if hasattr(module, fact)}
            if len(values) == 1:
                setattr(config, fact, values.pop())
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """`kwargs` reach every block, down to the attention functions."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(x.shape[1], device=x.device) + seen).unsqueeze(0)
        mask = create_causal_mask(self.config, x, attention_mask, past_key_values, position_ids)
        for layer in self.layers:
            x = layer(
                x,
                attention_mask=mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                **kwargs,
            )
        return BaseModelOutputWithPast(last_hidden_state=self.norm(x), past_key_values=past_key_values)


class DecoderForCausalLM(DecoderPreTrainedModel, GenerationMixin):
    """Tokens to logits ``(batch, length, vocab)``, and with `labels` the mean cross-entropy in nats."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.model = DecoderModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """`labels` are the input ids, -100 where there is no loss; `logits_to_keep` counts from the end, 0 for all."""
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        x = outputs.last_hidden_state
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(x[:, keep])
        loss = None if labels is None else self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


AutoConfig.register(DecoderConfig.model_type, DecoderConfig)
AutoModel.register(DecoderConfig, DecoderModel)
AutoModelForCausalLM.register(DecoderConfig, DecoderForCausalLM)
