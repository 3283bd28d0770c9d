"""A right network, and plausible wrong ones, each with the check that must catch it. Run by test_kit_models.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dougong
import torch
from dougong.testing import NetworkConformance
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

LAYER = {"use": "transformer", "attention": {"use": "attention", "heads": 2}, "ffn": {"use": "ffn", "inner": 8}}
SPEAKS = {**LAYER, "cross": {"use": "attention", "heads": 2, "positions": "none", "cross": True}}
TINY = {"vocab": 37, "width": 16, "layers": 2}
ENCODER = {"name": "network.encoder", "side": "encoder", "params": {**TINY, "layer": LAYER}}
BOTH_SIDES = {"name": "network.encoder-decoder", "side": "encoder-decoder",
              "params": {**TINY, "encoder": LAYER, "decoder": SPEAKS, "pad": 0, "bos": 1}}  # fmt: skip
SIZES = {"vocab_size": 37, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
         "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        config = type(f"{cls.__name__}Config", (LlamaConfig,), {"model_type": f"kit_{cls.__name__.lower()}"})
        cls.config_class = config
        AutoConfig.register(config.model_type, config)
        AutoModelForCausalLM.register(config, cls)
        make = getattr(cls, "make", None) or (lambda: cls(config(**SIZES)))
        suite = {
            "name": "network.decoder",  # what is declared of it is right
            "params": {"vocab": 37, "width": 16, "layers": 2, "layer": LAYER},
            "build": lambda self, **overrides: SimpleNamespace(build=make),
        }
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (NetworkConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right(LlamaForCausalLM):
    """A Llama."""


class _Module(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = LlamaForCausalLM(LlamaConfig(**SIZES))
        self.config = self.inner.config

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        return self.inner(*arguments, **keywords)


@judged("test_it_is_a_model_of_transformers")
class Wrapped(LlamaForCausalLM):
    """A plain module around it."""

    make = staticmethod(_Module)


@judged("test_each_is_built_anew")
class Once(LlamaForCausalLM):
    """One network for all who ask."""

    made: Any = None

    @staticmethod
    def make() -> Any:
        Once.made = Once.made or Once(Once.config_class(**SIZES))
        return Once.made


@judged("test_no_weight_is_shared_unless_tied")
class OneLayer(LlamaForCausalLM):
    """The same layer at every depth."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model.layers[1] = self.model.layers[0]


@judged("test_tokens_see_what_they_may")
class Both(LlamaForCausalLM):
    """Looks ahead."""

    def forward(self, input_ids: Any = None, **keywords: Any) -> Any:
        out = super().forward(input_ids, **keywords)
        out.logits = out.logits + out.logits.mean(1, keepdim=True)
        return out


@judged("test_padding_changes_nothing")
class Unmasked(LlamaForCausalLM):
    """Attends to padding."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **keywords: Any) -> Any:
        return super().forward(input_ids, **keywords)


@judged("test_a_token_at_a_time_gives_the_same_logits")
class Uncached(LlamaForCausalLM):
    """Takes a cache, and does not read it."""

    def forward(
        self, input_ids: Any = None, past_key_values: Any = None, use_cache: Any = None, **keywords: Any
    ) -> Any:
        return super().forward(input_ids, use_cache=False, **keywords)


@judged("test_generating_through_the_cache_gives_what_it_gives_without")
class NoBeams(LlamaForCausalLM):
    """Beams keep the past of other beams."""

    def forward(self, input_ids: Any = None, past_key_values: Any = None, **keywords: Any) -> Any:
        if past_key_values is not None:
            past_key_values.reorder_cache = lambda order: None
        return super().forward(input_ids, past_key_values=past_key_values, **keywords)


@judged("test_the_loss_is_the_cross_entropy_of_what_it_must_tell")
class Unshifted(LlamaForCausalLM):
    """Predicts the token that it sees."""

    def forward(self, input_ids: Any = None, labels: Any = None, **keywords: Any) -> Any:
        out = super().forward(input_ids, **keywords)
        if labels is not None:
            out.loss = F.cross_entropy(out.logits.transpose(1, 2), labels)
        return out


@judged("test_every_parameter_has_a_gradient_and_checkpointing_changes_none")
class Idle(LlamaForCausalLM):
    """A weight that nothing uses."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.spare = torch.nn.Linear(4, 4)


@judged("test_it_is_saved_as_safetensors_with_its_tree_and_loads_the_same")
class Pickles(LlamaForCausalLM):
    """Saves a pickle beside."""

    def save_pretrained(self, folder: Any, **keywords: Any) -> None:
        super().save_pretrained(folder, **keywords)
        torch.save(self.state_dict(), Path(folder) / "pytorch_model.bin")


@judged("test_its_vocabulary_can_grow")
class Fixed(LlamaForCausalLM):
    """Its size stands in the code."""

    def forward(self, input_ids: Any = None, **keywords: Any) -> Any:
        out = super().forward(input_ids, **keywords)
        out.logits = out.logits[..., :37]
        return out


@judged("test_using_it_does_not_change_it")
class Counts(LlamaForCausalLM):
    """Counts its calls in its state."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, input_ids: Any = None, **keywords: Any) -> Any:
        self.calls += 1
        return super().forward(input_ids, **keywords)


@judged("test_embeddings_and_few_logits_can_be_asked_for")
class All(LlamaForCausalLM):
    """Gives all logits, however few are asked for."""

    def forward(self, input_ids: Any = None, logits_to_keep: Any = 0, **keywords: Any) -> Any:
        return super().forward(input_ids, **keywords)


def _changed(of: dict[str, Any], change: Callable[..., Any]) -> Callable[[], Any]:
    """What makes a right network whose forward is `change(forward, network, **given)`."""

    def make() -> Any:
        network = dougong.make(of["name"], **of["params"]).build()
        plain = network.forward

        @wraps(plain)  # generate reads its signature
        def forward(input_ids: Any = None, **given: Any) -> Any:
            return change(plain, network, input_ids=input_ids, **given)

        network.forward = forward
        return network

    return make


@judged(**ENCODER)
class RightEncoder:
    """As it should be."""

    make = staticmethod(_changed(ENCODER, lambda forward, network, **given: forward(**given)))


def _one_way(forward: Any, network: Any, **given: Any) -> Any:
    network.config.is_causal = network.model.config.is_causal = True
    return forward(**given)


@judged("test_tokens_see_what_they_may", **ENCODER)
class OneWay:
    """An encoder that looks back only."""

    make = staticmethod(_changed(ENCODER, _one_way))


def _next(forward: Any, network: Any, labels: Any = None, **given: Any) -> Any:
    if labels is not None:
        labels = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], 1)
    return forward(labels=labels, **given)


@judged("test_the_loss_is_the_cross_entropy_of_what_it_must_tell", **ENCODER)
class Foresees:
    """An encoder that is asked for the next token."""

    make = staticmethod(_changed(ENCODER, _next))


def _reads_padding(forward: Any, network: Any, attention_mask: Any = None, **given: Any) -> Any:
    return forward(**given)


@judged("test_padding_changes_nothing", **ENCODER)
class ReadsPadding:
    """An encoder that reads padding."""

    make = staticmethod(_changed(ENCODER, _reads_padding))


@judged(**BOTH_SIDES)
class RightBothSides:
    """As it should be."""

    make = staticmethod(_changed(BOTH_SIDES, lambda forward, network, **given: forward(**given)))


def _deaf(forward: Any, network: Any, **given: Any) -> Any:
    for layer in network.model.decoder.layers:
        layer.cross_attn.o_proj.weight.data.zero_()
    return forward(**given)


@judged("test_tokens_see_what_they_may", **BOTH_SIDES)
class Deaf:
    """Whatever the encoder is told, the decoder says the same."""

    make = staticmethod(_changed(BOTH_SIDES, _deaf))


@judged("test_padding_changes_nothing", **BOTH_SIDES)
class HearsPadding:
    """The decoder attends to padding of the encoder's side."""

    make = staticmethod(_changed(BOTH_SIDES, _reads_padding))
