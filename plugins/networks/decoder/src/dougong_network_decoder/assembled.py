"""What every network out of blocks has in common: the config that carries the tree, and the stack of layers.

Public: the encoder and the encoder-decoder are built of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from dougong import Block, Builder, BuildError
from dougong.assemble import make, origin
from torch import nn
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import (
    create_bidirectional_mask,
    create_bidirectional_sliding_window_mask,
    create_causal_mask,
    create_recurrent_attention_mask,
    create_sliding_window_causal_mask,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.utils.output_capturing import OutputRecorder

from dougong_network_decoder.auto_map import lead_to_classes

# By (causal, type of layer): what makes the mask of its attention.
MASKS = {
    (True, "full_attention"): create_causal_mask,
    (True, "sliding_attention"): create_sliding_window_causal_mask,
    (False, "full_attention"): create_bidirectional_mask,
    (False, "sliding_attention"): create_bidirectional_sliding_window_mask,
}
# Which attention, if any, a layer of another type has.
ATTENTION_OF = {"hybrid": "full_attention", "hybrid_sliding": "sliding_attention"}
NO_STATE = "moe"  # transformers' word for a layer that keeps nothing in the cache
FACTS = ("num_attention_heads", "num_key_value_heads", "head_dim")  # servers read them from config.json


@dataclass
class StackOutput(BaseModelOutputWithPastAndCrossAttentions):
    """Hidden states ``(batch, length, width)``, and what blocks let pass through ``router_logits``."""

    router_logits: tuple[torch.Tensor, ...] | None = None


class AssembledConfig(PreTrainedConfig):
    """Sizes under transformers' names, and `blocks`: the resolved trees of the slots, ``{"use": ..., ...}``.

    `layer_types`, `sliding_window`, `number_of_conv_states` are gathered from the layers; caches are made by them.
    """

    technique: ClassVar[str]
    keys_to_ignore_at_inference = ("past_key_values",)

    blocks: dict[str, Any] | None = None
    vocab_size: int = 1
    hidden_size: int = 1
    num_hidden_layers: int = 1
    max_position_embeddings: int = 2048
    tie_word_embeddings: bool = False
    initializer_range: float = 0.02
    dropout: float = 0.0
    use_cache: bool = True
    is_causal: bool = True
    train_pad_embedding: bool = False  # GPT-2 does; elsewhere padding's vector stays as it is
    layer_types: list[str] | None = None
    sliding_window: int | None = None
    number_of_conv_states: int = 1
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.layer_types is not None and len(self.layer_types) != self.num_hidden_layers:
            self.layer_types = None  # another number of layers was asked for; they say what they are once more
        super().__post_init__(**kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoConfig") -> None:
        """Nothing: saving names the installed classes; transformers would copy their code."""

    def builders(self) -> Any:
        """The params whose builders make the blocks that `blocks` names."""
        if self.blocks is None:
            raise BuildError("the model's config has no blocks", hint=f"make the model by {self.technique}")
        sizes = {"vocab": self.vocab_size, "width": self.hidden_size, "layers": self.num_hidden_layers}
        return make({"use": self.technique, **sizes, **self.blocks}).params

    @staticmethod
    def settings(params: Any, *slots: str) -> dict[str, Any]:
        """Fields of a config out of a network's params; `slots` name the fields that hold builders."""
        return {
            "blocks": {name: _tree(name, getattr(params, name)) for name in slots},
            "vocab_size": params.vocab,
            "hidden_size": params.width,
            "num_hidden_layers": params.layers,
            "max_position_embeddings": params.max_positions,
            "tie_word_embeddings": params.tie_embeddings,
            "initializer_range": params.initializer_range,
            "dropout": params.dropout,
            "bos_token_id": params.bos,
            "eos_token_id": params.eos,
            "pad_token_id": params.pad,
        }


def _tree(name: str, builder: Builder[Block] | None) -> dict[str, Any] | None:
    """What `builder` was resolved from, so that `from_pretrained` can make it again."""
    if builder is None:
        return None
    found = origin(builder)
    if found is None:
        raise BuildError(f"{name}: made by hand, it could not be saved", hint="name a technique: {'use': ...}")
    return dict(found.params)


def layer_type(layer: nn.Module) -> str | None:
    """What a layer keeps in the cache, in transformers' words; None if none of its parts says. Raises BuildError."""
    types = {kind for module in layer.modules() if (kind := getattr(module, "layer_type", None))}
    if len(types) < 2:
        return types.pop() if types else None
    for both, attention in ATTENTION_OF.items():
        if types == {"linear_attention", attention}:
            return both
    raise BuildError(
        f"a layer holds parts of the types {', '.join(sorted(types))}, which no cache keeps together",
        hint="give each a layer of its own: block.cycle takes layers in turn",
    )


class AssembledModel(PreTrainedModel):
    """What transformers must know of every model out of blocks."""

    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ("past_key_values",)
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    _can_record_outputs: dict[str, Any] = {  # noqa: RUF012 (transformers' own form)
        "hidden_states": OutputRecorder(GradientCheckpointingLayer),
        "attentions": OutputRecorder(None, class_name=".attention_weights"),
        "cross_attentions": OutputRecorder(None, class_name=".cross_attention_weights"),
        "router_logits": OutputRecorder(None, class_name=".router_logits"),
    }

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoModel") -> None:
        """Nothing: saving names the installed classes; transformers would copy their code."""

    def save_pretrained(self, save_directory: Any, is_main_process: bool = True, **kwargs: Any) -> None:
        """As transformers saves, and a few lines that lead it to the installed classes: see `lead_to_classes`."""
        if is_main_process:
            lead_to_classes(self, Path(save_directory))
        super().save_pretrained(save_directory, is_main_process=is_main_process, **kwargs)

    def _init_weights(self, module: nn.Module) -> None:
        """transformers' scheme; a block that needs another has ``init_block(std)``, on ``torch.nn.init`` functions."""
        super()._init_weights(module)
        if hasattr(module, "init_block"):
            module.init_block(self.config.initializer_range)

    def auxiliary_loss(self) -> torch.Tensor | None:
        """The sum of what the blocks add to the training loss, of the last forward; None if no block adds any."""
        losses = [module.auxiliary_loss() for module in self._blocks_with_a_loss()]
        losses = [loss for loss in losses if loss is not None]
        return torch.stack([loss.to(losses[0].device) for loss in losses]).sum() if losses else None

    def _blocks_with_a_loss(self) -> list[nn.Module]:
        if "_with_a_loss" not in self.__dict__:  # looked up once: a step of decoding should not walk all modules
            mine = (m for m in self.modules() if not isinstance(m, AssembledModel) and hasattr(m, "auxiliary_loss"))
            self.__dict__["_with_a_loss"] = list(mine)
        return self.__dict__["_with_a_loss"]

    @staticmethod
    def create_masks_for_generate(
        config: AssembledConfig,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Cache | None,
        position_ids: torch.Tensor | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """The masks by type of layer, and ``padding``; generate calls it ahead of a compiled step."""
        types = set(config.layer_types or ("full_attention",))
        masks: dict[str, Any] = {}
        for kind in {ATTENTION_OF.get(kind, kind) for kind in types}:
            if (config.is_causal, kind) in MASKS:
                given: dict[str, Any] = {"past_key_values": past_key_values}
                if config.is_causal:
                    given["position_ids"] = position_ids
                masks[kind] = MASKS[config.is_causal, kind](config, inputs_embeds, attention_mask, **given)
        masks["padding"] = create_recurrent_attention_mask(config, inputs_embeds, attention_mask)
        return masks


class Stack(AssembledModel):
    """Tokens to hidden states: embeddings, what is added to them, layers, a norm.

    `builders` has the builders ``layer``, ``norm``, ``positions``, ``embed_norm``, the last three of which may be None.
    """

    def __init__(self, config: AssembledConfig, builders: Any) -> None:
        super().__init__(config)
        pad = None if config.train_pad_embedding else config.pad_token_id
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, pad)
        self.positions = builders.positions(config, None) if builders.positions else None
        self.embed_norm = builders.embed_norm(config, None) if builders.embed_norm else nn.Identity()
        self.layers = nn.ModuleList(builders.layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = builders.norm(config, None) if builders.norm else nn.Identity()
        self.gradient_checkpointing = False
        for layer in self.layers:
            if not isinstance(layer, GradientCheckpointingLayer):
                raise BuildError(
                    f"{type(layer).__name__} is no layer of a network",
                    hint="use block.transformer, or derive it from transformers' GradientCheckpointingLayer",
                )
        self._no_split_modules = {type(layer).__name__ for layer in self.layers}
        self._gather_facts()

    def _gather_facts(self) -> None:
        """Writes what caches and servers read from a config: blocks say it, and only a network writes."""
        config = self.config
        types = [layer_type(layer) or NO_STATE for layer in self.layers]
        self.layer_types, config.layer_types = types, list(types)
        # A cache of recurrent layers alone counts no tokens, and generate asks how many there are. So the first of them
        # is declared to hold attention too, where the network itself keeps one number a token.
        self.counter = None
        if {*types} <= {"linear_attention", NO_STATE}:
            self.counter = types.index("linear_attention") if "linear_attention" in types else 0
            config.layer_types[self.counter] = "hybrid" if "linear_attention" in types else "full_attention"
        if {*config.layer_types} == {"full_attention"}:
            config.layer_types = None
        for name in ("sliding_window", *FACTS):
            values = {getattr(module, name, None) for module in self.layers.modules()} - {None}
            if len(values) == 1:
                setattr(config, name, values.pop())
            elif len(values) > 1 and name == "sliding_window":
                raise BuildError(
                    f"windows of {sorted(values)} tokens in one network", hint="give all layers one window"
                )
        config.number_of_conv_states = 1 + max((getattr(m, "state_idx", 0) for m in self.layers.modules()), default=0)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.embed_tokens(tokens)

    def run(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: Any,
        position_ids: torch.Tensor | None,
        past_key_values: Cache | None,
        inputs_embeds: torch.Tensor | None,
        use_cache: bool | None,
        extra: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> StackOutput:
        """The whole stack. `extra` is added to the embeddings; `kwargs` reach every block."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        x = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
            if kwargs.get("encoder_hidden_states") is not None:
                past_key_values = EncoderDecoderCache(past_key_values, DynamicCache())
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(x.shape[1], device=x.device) + seen).unsqueeze(0)
        mine = getattr(past_key_values, "self_attention_cache", past_key_values)
        masks = attention_mask
        if not isinstance(masks, dict):
            masks = self.create_masks_for_generate(self.config, x, attention_mask, mine, position_ids)
        if self.counter is not None and mine is not None:
            tick = x.new_zeros(x.shape[0], 1, x.shape[1], 1)
            mine.update(tick, tick, self.counter)
        if extra is not None:
            x = x + extra
        if self.positions is not None:
            x = self.positions(x, position_ids=position_ids)
        x = nn.functional.dropout(self.embed_norm(x), self.config.dropout, self.training)
        kwargs |= {"position_ids": position_ids, "past_key_values": past_key_values, "use_cache": use_cache}
        kwargs |= {"padding_mask": masks["padding"], "shared": {}}
        for kind, layer in zip(self.layer_types, self.layers, strict=True):
            x = layer(x, attention_mask=masks.get(ATTENTION_OF.get(kind, kind)), **kwargs)
        return StackOutput(last_hidden_state=self.norm(x), past_key_values=past_key_values)
