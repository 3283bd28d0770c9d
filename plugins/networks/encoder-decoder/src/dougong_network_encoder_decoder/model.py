"""Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3: an encoder, and a decoder that attends to it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from dougong_network_decoder.assembled import FACTS, AssembledConfig, AssembledModel, Stack, StackOutput
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, Cache, GenerationMixin
from transformers.cache_utils import DynamicLayer, StaticLayer
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import Seq2SeqLMOutput, Seq2SeqModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from dougong_network_encoder_decoder import Params


class EncoderDecoder:
    """The technique: params to a model with fresh weights."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self) -> Seq2SeqForConditionalGeneration:
        """A new model; each call draws its weights anew. Raises BuildError where blocks do not fit together."""
        p = self.params
        settings = Seq2SeqConfig.settings(p, "encoder", "decoder", "norm", "positions", "embed_norm")
        settings |= {"encoder_layers": p.encoder_layers or p.layers}
        settings |= {"decoder_start_token_id": p.bos if p.start is None else p.start}
        return Seq2SeqForConditionalGeneration(Seq2SeqConfig(**settings))


class Seq2SeqConfig(AssembledConfig):
    """`num_hidden_layers`, `layer_types` and the like are the decoder's, which the cache is for."""

    model_type = "dougong_encoder_decoder"
    technique: ClassVar[str] = "network.encoder-decoder"

    is_encoder_decoder: bool = True
    encoder_layers: int = 1
    decoder_start_token_id: int | None = None

    def side(self, which: str) -> tuple[AssembledConfig, SimpleNamespace]:
        """The config and the builders of the ``encoder`` or the ``decoder``."""
        config, made = copy.deepcopy(self), self.builders()
        config.is_encoder_decoder = False
        if which == "encoder":
            config.is_causal = config.use_cache = False
            config.num_hidden_layers, config.layer_types = self.encoder_layers, None
        rest = {name: getattr(made, name) for name in ("norm", "positions", "embed_norm")}
        return config, SimpleNamespace(layer=getattr(made, which), **rest)


class EncoderStack(Stack):
    config_class = Seq2SeqConfig
    main_input_name = "input_ids"

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> StackOutput:
        for name in ("use_cache", "past_key_values"):
            kwargs.pop(name, None)
        return self.run(input_ids, attention_mask, position_ids, None, inputs_embeds, False, **kwargs)


class DecoderStack(Stack):
    config_class = Seq2SeqConfig

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
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> StackOutput:
        # generate makes the cache of the encoder's states as it makes the decoder's own, windows and all.
        past = getattr(past_key_values, "cross_attention_cache", None)
        if past is not None and not any(past_key_values.is_updated.values()):
            plain = (DynamicLayer, StaticLayer)
            past.layers = [layer if type(layer) in plain else DynamicLayer() for layer in past.layers]
        x = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        states = encoder_hidden_states
        cross = create_bidirectional_mask(self.config, x, encoder_attention_mask, encoder_hidden_states=states)
        kwargs |= {"encoder_hidden_states": states, "encoder_attention_mask": cross}
        return self.run(None, attention_mask, position_ids, past_key_values, x, use_cache, **kwargs)


@dataclass
class SidesOutput(Seq2SeqModelOutput):
    """The decoder's hidden states, and what passed inside both sides."""

    encoder_router_logits: tuple[torch.Tensor, ...] | None = None
    decoder_router_logits: tuple[torch.Tensor, ...] | None = None


@dataclass
class Seq2SeqOutput(Seq2SeqLMOutput):
    """`aux_loss` is what the blocks of both sides add; it is part of `loss` in training mode only."""

    aux_loss: torch.Tensor | None = None
    encoder_router_logits: tuple[torch.Tensor, ...] | None = None
    decoder_router_logits: tuple[torch.Tensor, ...] | None = None


class Seq2SeqModel(AssembledModel):
    """Tokens of both sides to the decoder's hidden states ``(batch, length, width)``."""

    config_class = Seq2SeqConfig
    _tied_weights_keys = {"decoder.embed_tokens.weight": "encoder.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__(config)
        self.encoder = EncoderStack(*config.side("encoder"))
        self.decoder = DecoderStack(*config.side("decoder"))
        for name in ("layer_types", "sliding_window", "number_of_conv_states", *FACTS):
            if hasattr(self.decoder.config, name):
                setattr(config, name, getattr(self.decoder.config, name))
        self._no_split_modules = self.encoder._no_split_modules | self.decoder._no_split_modules
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.embed_tokens = value
        if self.config.tie_word_embeddings:
            self.decoder.embed_tokens = value

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> SidesOutput:
        """`encoder_outputs` spares the encoder; its first element is the encoder's states."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, position_ids, inputs_embeds, **kwargs)
        elif not hasattr(encoder_outputs, "last_hidden_state"):
            encoder_outputs = StackOutput(last_hidden_state=encoder_outputs[0])
        out = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            position_ids=decoder_position_ids,
            past_key_values=past_key_values,
            inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            encoder_hidden_states=encoder_outputs.last_hidden_state,
            encoder_attention_mask=attention_mask,
            **kwargs,
        )
        return SidesOutput(
            last_hidden_state=out.last_hidden_state,
            past_key_values=out.past_key_values,
            decoder_hidden_states=out.hidden_states,
            decoder_attentions=out.attentions,
            cross_attentions=out.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
            encoder_router_logits=getattr(encoder_outputs, "router_logits", None),
            decoder_router_logits=out.router_logits,
        )


class Seq2SeqForConditionalGeneration(AssembledModel, GenerationMixin):
    """Tokens of both sides to logits ``(batch, length, vocab)``, and with `labels` the mean cross-entropy in nats."""

    config_class = Seq2SeqConfig
    _tied_weights_keys = {  # noqa: RUF012
        "model.decoder.embed_tokens.weight": "model.encoder.embed_tokens.weight",
        "lm_head.weight": "model.encoder.embed_tokens.weight",
    }

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__(config)
        self.model = Seq2SeqModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_encoder(self, *_: Any, **__: Any) -> nn.Module:
        return self.model.encoder

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """The labels moved one place to the right, behind the start token; -100 becomes padding."""
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or pad is None:
            raise ValueError("labels are moved behind a start token; give the network start (or bos) and pad")
        moved = torch.cat([labels.new_full((len(labels), 1), start), labels[:, :-1]], 1)
        return moved.masked_fill(moved == -100, pad)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> Seq2SeqOutput:
        """`labels`: what the decoder should say, -100 where there is no loss; they give its input if none is given."""
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        out = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            position_ids=position_ids,
            decoder_position_ids=decoder_position_ids,
            use_cache=use_cache,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(out.last_hidden_state[:, keep])
        auxiliary, loss = self.auxiliary_loss(), None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten().to(logits.device))
            if auxiliary is not None and self.training:
                loss = loss + auxiliary.to(loss.device)
        return Seq2SeqOutput(
            loss=loss,
            logits=logits,
            aux_loss=auxiliary,
            **{name: value for name, value in out.items() if name != "last_hidden_state"},
        )


AutoConfig.register(Seq2SeqConfig.model_type, Seq2SeqConfig)
AutoModel.register(Seq2SeqConfig, Seq2SeqModel)
AutoModelForSeq2SeqLM.register(Seq2SeqConfig, Seq2SeqForConditionalGeneration)
