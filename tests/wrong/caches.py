"""A right cache, and plausible wrong ones, each with the check that must catch it. Run by test_kit_models.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from dougong.testing import CacheConformance
from transformers import DynamicCache


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        suite = {"name": "cache.plain", "plugin": Path(__file__).with_name("tiny_models.py"), "crops": True}
        if check:
            make = getattr(cls, "make", lambda network: cls(config=network.config))
            suite["build"] = lambda self, **overrides: SimpleNamespace(build=make)
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (CacheConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right(DynamicCache):
    """Keys and values, as they come."""


@judged("test_it_is_an_empty_cache_of_transformers")
class Legacy(DynamicCache):
    """Tuples, as they once were."""

    @staticmethod
    def make(network: Any) -> Any:
        return ((),) * network.config.num_hidden_layers


@judged("test_the_next_prompt_finds_it_empty")
class Once(DynamicCache):
    """One cache for all generations."""

    made: Any = None

    @staticmethod
    def make(network: Any) -> Any:
        Once.made = Once.made or DynamicCache(config=network.config)
        return Once.made


@judged("test_it_knows_how_much_it_holds")
class Short(DynamicCache):
    """One token behind."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return max(0, super().get_seq_length(layer_idx) - 1)


@judged("test_logits_are_those_without_it")
class Rounds(DynamicCache):
    """Keeps eight bits, and calls itself lossless."""

    def update(self, key_states: Any, value_states: Any, *rest: Any, **keywords: Any) -> Any:
        return super().update((key_states * 16).round() / 16, value_states, *rest, **keywords)


@judged("test_logits_are_those_without_it")
class Window(DynamicCache):
    """Forgets all but the last four."""

    def update(self, *arguments: Any, **keywords: Any) -> Any:
        keys, values = super().update(*arguments, **keywords)
        old = torch.arange(keys.shape[2]) < keys.shape[2] - 4
        return keys, values.masked_fill(old[:, None], 0)


@judged("test_logits_are_those_without_it", lossless=False, drift=0.05)
class Drifts(DynamicCache):
    """Lossy by more than it says."""

    def update(self, key_states: Any, value_states: Any, *rest: Any, **keywords: Any) -> Any:
        return super().update(key_states.round(), value_states.round(), *rest, **keywords)


@judged("test_what_is_generated_is_what_is_without_it")
class OneRow(DynamicCache):
    """Made for batches of one: from the third token on every row has the first one's past."""

    def update(self, key_states: Any, value_states: Any, *rest: Any, **keywords: Any) -> Any:
        keys, values = super().update(key_states, value_states, *rest, **keywords)
        return (keys[:1].expand_as(keys), values[:1].expand_as(values)) if keys.shape[2] > 9 else (keys, values)


@judged("test_beams_take_their_past_along")
class Beamless(DynamicCache):
    """Does not reorder."""

    def reorder_cache(self, beam_idx: Any) -> None:
        pass


@judged("test_a_cache_in_half_precision_stays_there")
class Floats(DynamicCache):
    """Float32, whatever the network is in."""

    def update(self, key_states: Any, value_states: Any, *rest: Any, **keywords: Any) -> Any:
        return super().update(key_states.float(), value_states.float(), *rest, **keywords)


STORE: dict[int, Any] = {}


@judged("test_two_sequences_do_not_mix")
class Global(DynamicCache):
    """The last sequence's keys are everybody's."""

    def update(self, key_states: Any, value_states: Any, layer_idx: int, *rest: Any, **keywords: Any) -> Any:
        old = STORE.get(layer_idx)
        keys, values = super().update(key_states, value_states, layer_idx, *rest, **keywords)
        if old is not None and old.shape[:2] == keys.shape[:2] and old.shape[2] == keys.shape[2]:
            keys = torch.cat((old[:, :, :1], keys[:, :, 1:]), 2)
        STORE[layer_idx] = keys
        return keys, values


@judged("test_reset_empties_it")
class Keeps(DynamicCache):
    """Nothing happens at reset."""

    def reset(self) -> None:
        pass


@judged("test_crop_cuts_it_back")
class Crops(DynamicCache):
    """One token too many is left."""

    def crop(self, tokens_to_remove: int) -> None:
        super().crop(tokens_to_remove + 1)


@judged("test_the_network_stays_as_it_is")
class Configures(DynamicCache):
    """Sets the network up for itself."""

    @staticmethod
    def make(network: Any) -> Any:
        network.config.use_cache = False
        return DynamicCache(config=network.config)
