"""Devlin et al. 2019 (BERT), https://arxiv.org/abs/1810.04805: every position sees every other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from dougong_network_decoder.assembled import AssembledConfig, AssembledModel, Stack, StackOutput
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification
from transformers.activations import ACT2FN
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from dougong_network_encoder import Params


class Encoder:
    """The technique: params to a model with fresh weights."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self) -> EncoderForMaskedLM:
        """A new model; each call draws its weights anew. Raises BuildError where blocks do not fit together."""
        return EncoderForMaskedLM(self.build_config())

    def build_config(self) -> EncoderConfig:
        """The config alone, for models that take their weights from elsewhere."""
        p = self.params
        settings = EncoderConfig.settings(p, "layer", "norm", "positions", "embed_norm", "head_norm")
        settings |= {"type_vocab_size": p.types, "pooler": p.pooler, "head_activation": p.head_activation}
        return EncoderConfig(**settings)


class EncoderConfig(AssembledConfig):
    model_type = "dougong_encoder"
    technique: ClassVar[str] = "network.encoder"

    is_causal: bool = False
    use_cache: bool = False
    type_vocab_size: int = 0
    pooler: bool = False
    head_activation: str = "gelu"


@dataclass
class EncoderOutput(StackOutput):
    """Hidden states, and of the first token's a tanh where the encoder has a pooler: ``(batch, width)``."""

    pooler_output: torch.Tensor | None = None


@dataclass
class EncoderLMOutput(MaskedLMOutput):
    """`aux_loss` is what the blocks add; it is part of `loss` in training mode only."""

    aux_loss: torch.Tensor | None = None
    router_logits: tuple[torch.Tensor, ...] | None = None


class EncoderModel(Stack):
    """Tokens to hidden states ``(batch, length, width)``."""

    config_class = EncoderConfig

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, config.builders())
        types, width = config.type_vocab_size, config.hidden_size
        self.token_types = nn.Embedding(types, width) if types else None
        self.pooler = nn.Linear(width, width) if config.pooler else None
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> EncoderOutput:
        """`token_type_ids` are 0 if not given. `kwargs` reach every block, down to the attention functions."""
        kwargs.pop("use_cache", None)
        kinds = None
        if self.token_types is not None:
            if token_type_ids is None:
                token_type_ids = torch.zeros((1, 1), dtype=torch.long, device=self.token_types.weight.device)
            kinds = self.token_types(token_type_ids)
        out = self.run(input_ids, attention_mask, position_ids, None, inputs_embeds, False, kinds, **kwargs)
        x = out.last_hidden_state
        pooled = self.pooler(x[:, 0]).tanh() if self.pooler is not None else None
        return EncoderOutput(last_hidden_state=x, pooler_output=pooled)


class Head(nn.Module):
    """``norm(act(x W + b))`` (BERT's transform of the masked tokens' states)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.head_activation]
        self.norm = config.builders().head_norm(config, None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.activation(self.dense(x)))


class EncoderForMaskedLM(AssembledModel):
    """Tokens to logits ``(batch, length, vocab)``, and with `labels` the mean cross-entropy in nats."""

    config_class = EncoderConfig
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.model = EncoderModel(config)
        self.head = Head(config) if (config.blocks or {}).get("head_norm") else nn.Identity()
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        **kwargs: Any,
    ) -> EncoderLMOutput:
        """`labels`: the tokens that stood under the masks, -100 elsewhere."""
        given = {"token_type_ids": token_type_ids, "position_ids": position_ids, "inputs_embeds": inputs_embeds}
        out = self.model(input_ids, attention_mask, **given, **kwargs)
        logits = self.lm_head(self.head(out.last_hidden_state))
        auxiliary, loss = self.auxiliary_loss(), None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten().to(logits.device))
            if auxiliary is not None and self.training:
                loss = loss + auxiliary.to(loss.device)
        return EncoderLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
            aux_loss=auxiliary,
            router_logits=out.router_logits,
        )


class EncoderForSequenceClassification(AssembledModel):
    """Tokens to scores ``(batch, num_labels)``, read at the first token, through the pooler if there is one."""

    config_class = EncoderConfig

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = EncoderModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """With `labels` the loss is that of ``config.problem_type``, by transformers' rules."""
        given = {"token_type_ids": token_type_ids, "position_ids": position_ids, "inputs_embeds": inputs_embeds}
        out = self.model(input_ids, attention_mask, **given, **kwargs)
        first = out.last_hidden_state[:, 0] if out.pooler_output is None else out.pooler_output
        logits = self.score(nn.functional.dropout(first, self.config.dropout, self.training))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
            auxiliary = self.auxiliary_loss()
            if auxiliary is not None and self.training:
                loss = loss + auxiliary.to(loss.device)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=out.hidden_states, attentions=out.attentions
        )


AutoConfig.register(EncoderConfig.model_type, EncoderConfig)
AutoModel.register(EncoderConfig, EncoderModel)
AutoModelForMaskedLM.register(EncoderConfig, EncoderForMaskedLM)
AutoModelForSequenceClassification.register(EncoderConfig, EncoderForSequenceClassification)
