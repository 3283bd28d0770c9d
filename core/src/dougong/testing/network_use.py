"""A network, told something and asked as its suite does. Imports torch and transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from dougong.testing.conformance import Conformance
from dougong.testing.tiny import greedy, padded, seeded, tokens  # first: it tells transformers to stay offline

# isort: split
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

_AUTO = {
    "decoder": AutoModelForCausalLM,
    "encoder": AutoModelForMaskedLM,
    "encoder-decoder": AutoModelForSeq2SeqLM,
}


class NetworkUse(Conformance):
    """What a suite of a network says of it, and how it is built, told and asked.

    Attributes:
        side: what it is: a "decoder" sees what came before, an "encoder" sees everything and continues nothing, an
            "encoder-decoder" says something about what it is given.
        auto: the Auto class that loads it; that of its side, if not set.
        unused: names of parameters that have no gradient for a reason.
    """

    side: ClassVar[Literal["decoder", "encoder", "encoder-decoder"]] = "decoder"
    auto: Any = None
    unused: Sequence[str] = ()
    kind: ClassVar[str] = "network"
    tolerance = 1e-5

    def observe(self, built: Any) -> Any:
        network = seeded(built.build())
        with torch.no_grad():
            told = [network(**self.inputs(network)).logits]
            return told if self.side == "encoder" else [*told, self.continued(network, *self.sides(network), 3)]

    def expected(self, network: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """The logits that it must give, by an independent model with its weights; None for no check."""
        return None

    def network(self) -> Any:
        """A network with seeded weights, in evaluation mode."""
        return seeded(self.build().build())

    def inputs(self, network: Any, batch: int = 3, length: int = 8, left: tuple[int, ...] = ()) -> dict[str, Any]:
        """What the network takes; rows of the `left` side's padding, which an encoder-decoder has where it listens."""
        pad = network.config.pad_token_id
        inputs = padded(tokens(batch, length, vocab=network.config.vocab_size), left, 0 if pad is None else pad)
        if self.side == "encoder-decoder":
            inputs["decoder_input_ids"] = tokens(batch, length, seed=2, vocab=network.config.vocab_size)
        return inputs

    def sides(self, network: Any, batch: int = 2) -> tuple[dict[str, Any], torch.Tensor]:
        """What it is told besides, and the tokens whose logits it gives."""
        inputs = self.inputs(network, batch)
        if self.side == "encoder-decoder":
            return {"input_ids": inputs["input_ids"]}, inputs["decoder_input_ids"]
        return {}, inputs["input_ids"]

    def says(self, network: Any, told: Mapping[str, Any], ids: torch.Tensor, **given: Any) -> Any:
        """The network's output for `ids`."""
        name = "decoder_input_ids" if self.side == "encoder-decoder" else "input_ids"
        return network(**told, **{name: ids}, **given)

    def continued(self, network: Any, told: Mapping[str, Any], ids: torch.Tensor, n: int, **settings: Any) -> Any:
        """`n` tokens after `ids`, or an encoder-decoder's first `n`, by the network's own generate."""
        return greedy(network, dict(told) or {"input_ids": ids}, n, **settings)

    def auto_class(self) -> Any:
        """The Auto class that loads it."""
        return self.auto or _AUTO[self.side]

    def tree(self) -> Any:
        """The params of its slots, as resolved."""
        from dougong.assemble import origin

        found = origin(self.build())
        return {key: value for key, value in found.params.items() if key != "use"} if found else {}


def uses(tree: Any) -> Iterator[str]:
    """Names of the techniques in a tree."""
    if isinstance(tree, Mapping):
        if isinstance(tree.get("use"), str):
            yield tree["use"]
        for item in tree.values():
            yield from uses(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from uses(item)
