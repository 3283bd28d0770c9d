"""Radford et al. 2018 (GPT): token embeddings, a stack of causal layers, a norm, and a linear map to the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Cache,
    GenerationMixin,
)
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from dougong_network_decoder import Params
from dougong_network_decoder.assembled import AssembledConfig, AssembledModel, Stack, StackOutput


class Decoder:
    """The technique: params to a model with fresh weights."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self) -> DecoderForCausalLM:
        """A new model; each call draws its weights anew. Raises BuildError where blocks do not fit together."""
        return DecoderForCausalLM(self.build_config())

    def build_config(self) -> DecoderConfig:
        """The config alone, for models that take their weights from elsewhere."""
        return DecoderConfig(**DecoderConfig.settings(self.params, "layer", "norm", "positions", "embed_norm"))


class DecoderConfig(AssembledConfig):
    model_type = "dougong_decoder"
    technique: ClassVar[str] = "network.decoder"


@dataclass
class DecoderOutput(CausalLMOutputWithPast):
    """`aux_loss` is what the blocks add; it is part of `loss` in training mode only."""

    aux_loss: torch.Tensor | None = None
    router_logits: tuple[torch.Tensor, ...] | None = None


class DecoderModel(Stack):
    """Tokens to hidden states ``(batch, length, width)``."""

    config_class = DecoderConfig

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config, config.builders())
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
    ) -> StackOutput:
        """`kwargs` reach every block, down to the attention functions."""
        return self.run(input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache, **kwargs)


class DecoderForCausalLM(AssembledModel, GenerationMixin):
    """Tokens to logits ``(batch, length, vocab)``, and with `labels` the mean cross-entropy in nats."""

    config_class = DecoderConfig
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
    ) -> DecoderOutput:
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
        auxiliary = self.auxiliary_loss()
        if loss is not None and auxiliary is not None and self.training:
            loss = loss + auxiliary.to(loss.device)
        return DecoderOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            aux_loss=auxiliary,
            router_logits=outputs.router_logits,
        )


class DecoderForSequenceClassification(GenericForSequenceClassification, AssembledModel):
    """Tokens to scores ``(batch, labels)``, read at each row's last token that is no padding."""

    config_class = DecoderConfig


AutoConfig.register(DecoderConfig.model_type, DecoderConfig)
AutoModel.register(DecoderConfig, DecoderModel)
AutoModelForCausalLM.register(DecoderConfig, DecoderForCausalLM)
AutoModelForSequenceClassification.register(DecoderConfig, DecoderForSequenceClassification)
