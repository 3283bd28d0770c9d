"""What holds for every key-value cache. Imports torch and transformers."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from dougong.testing.conformance import Conformance
from dougong.testing.tiny import greedy, llama, padded, tokens  # first: it tells transformers to stay offline

# isort: split
import torch
from transformers import Cache

from dougong.testing.block_use import close

LENGTH, NEW = 9, 7


class CacheConformance(Conformance):
    """A cache keeps its promises of `dougong.kinds.Cache` in a small Llama, or in `network`.

    Attributes:
        lossless: with it a network computes what it computes without. Else its logits may be apart by `drift`, in
            standard deviations of the logits, and what is generated may differ.
        drift: see there.
        forgets: it drops what is old, so that after a while its length is no longer that of the sequence.
        crops: it can be cut back to a length.
        resets: it can be emptied and used for another prompt.
        reorders: it follows the beams of a search.
    """

    lossless: bool = True
    drift: float = 0.0
    forgets: bool = False
    crops: bool = False
    resets: bool = True
    reorders: bool = True
    kind: ClassVar[str] = "cache"
    tolerance = 1e-5

    def network(self) -> Any:
        """The network that it serves: always with the same weights, in evaluation mode."""
        return llama()

    def cache(self, network: Any, **overrides: Any) -> Any:
        return self.build(**overrides).build(network)

    def observe(self, built: Any) -> Any:
        network = self.network()
        return [greedy(network, _inputs(seed), 3, past_key_values=built.build(network)).tolist() for seed in (1, 2)]

    def logits(self, network: Any, ids: torch.Tensor, past: Any, pieces: tuple[int, ...]) -> torch.Tensor:
        """Logits of `ids`, read in pieces of these lengths through the cache `past`."""
        found, at = [], 0
        with torch.no_grad():
            for length in pieces:
                found.append(network(ids[:, at : at + length], past_key_values=past, use_cache=True).logits)
                at += length
        return torch.cat(found, 1)

    def near(self, found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
        allowed = 10 * self.tolerance if self.lossless else self.drift * wanted.std().item()
        close(found, wanted, allowed, what)

    # ------------------------------------------------------------ a cache of transformers

    def test_it_is_an_empty_cache_of_transformers(self) -> None:
        network, technique = self.network(), self.build()
        first, second = technique.build(network), technique.build(network)
        assert isinstance(first, Cache), "build gives a transformers.Cache"
        assert first is not second, "each generation has a cache of its own: build a new one at each call"
        assert first.get_seq_length() == 0, "a new cache is empty"

    def test_it_knows_how_much_it_holds(self) -> None:
        network = self.network()
        past = self.cache(network)
        self.logits(network, tokens(2, LENGTH), past, (LENGTH,))
        if not self.forgets:
            assert past.get_seq_length() == LENGTH, "positions of the next tokens follow from get_seq_length()"
        self.logits(network, tokens(2, 1), past, (1,))
        if not self.forgets:
            assert past.get_seq_length() == LENGTH + 1

    # ------------------------------------------------------------ with it as without it

    def test_logits_are_those_without_it(self) -> None:
        network, ids = self.network(), tokens(2, LENGTH)
        with torch.no_grad():
            whole = network(ids, use_cache=False).logits
        for pieces in ((LENGTH,), (1,) * LENGTH, (5, 1, 1, 2), (LENGTH - 1, 1)):
            found = self.logits(network, ids, self.cache(network), pieces)
            assert torch.isfinite(found).all(), "logits are not finite"
            self.near(found, whole, f"read in pieces of {pieces}, the logits are apart from those without it")

    def test_what_is_generated_is_what_is_without_it(self) -> None:
        network = self.network()
        for left in ((0, 0), (0, 4)):
            inputs = padded(tokens(2, LENGTH), left)
            plain = greedy(network, inputs, NEW, use_cache=False)
            found = greedy(network, inputs, NEW, past_key_values=self.cache(network))
            assert found.shape == plain.shape
            if self.lossless:
                assert torch.equal(found, plain), f"it generates other tokens, with {left} pads on the left"

    def test_beams_take_their_past_along(self) -> None:
        if not self.reorders:
            pytest.skip("it is not for beams")
        network, ids = self.network(), tokens(3, LENGTH)
        past = self.cache(network)
        self.logits(network, ids[:, :-1], past, (LENGTH - 1,))
        order = torch.tensor([2, 0, 0])
        past.reorder_cache(order)
        found = self.logits(network, ids[order][:, -1:], past, (1,))
        with torch.no_grad():
            wanted = network(ids[order], use_cache=False).logits[:, -1:]
        self.near(found, wanted, "after reorder_cache a row has another's past")
        if self.lossless:
            beams = {"num_beams": 3}
            plain = greedy(network, _inputs(1), NEW, use_cache=False, **beams)
            assert torch.equal(greedy(network, _inputs(1), NEW, past_key_values=self.cache(network), **beams), plain)

    def test_a_cache_in_half_precision_stays_there(self) -> None:
        network = self.network().to(torch.bfloat16)
        logits = self.logits(network, tokens(2, LENGTH), self.cache(network), (LENGTH - 2, 1, 1))
        assert logits.dtype == torch.bfloat16
        assert torch.isfinite(logits).all()

    # ------------------------------------------------------------ one after the other, and at once

    def test_two_sequences_do_not_mix(self) -> None:
        network = self.network()
        both = [tokens(2, LENGTH), tokens(2, LENGTH, seed=8)]
        alone = [self.logits(network, ids, self.cache(network), (1,) * LENGTH) for ids in both]
        technique = self.build()
        caches = [technique.build(network), technique.build(network)]
        found: list[list[torch.Tensor]] = [[], []]
        for at in range(LENGTH):
            for ids, past, logits in zip(both, caches, found):
                logits.append(self.logits(network, ids[:, at : at + 1], past, (1,)))
        for logits, wanted in zip(found, alone):
            close(torch.cat(logits, 1), wanted, self.tolerance, "two caches at once share what they hold")

    def test_the_next_prompt_finds_it_empty(self) -> None:
        network, technique = self.network(), self.build()
        first = greedy(network, _inputs(1), NEW, past_key_values=technique.build(network))
        greedy(network, _inputs(2), NEW, past_key_values=technique.build(network))
        assert torch.equal(greedy(network, _inputs(1), NEW, past_key_values=technique.build(network)), first), (
            "the second prompt finds what the first left"
        )

    def test_reset_empties_it(self) -> None:
        if not self.resets:
            pytest.skip("it is used once")
        network, ids = self.network(), tokens(2, LENGTH, seed=8)
        fresh = self.logits(network, ids, self.cache(network), (LENGTH,))
        past = self.cache(network)
        self.logits(network, tokens(2, LENGTH), past, (LENGTH,))
        past.reset()
        assert past.get_seq_length() == 0, "after reset() it says that it holds something"
        close(
            self.logits(network, ids, past, (LENGTH,)), fresh, self.tolerance, "after reset() something is left in it"
        )

    def test_crop_cuts_it_back(self) -> None:
        if not self.crops:
            pytest.skip("it cannot be cropped")
        network, ids = self.network(), tokens(2, LENGTH)
        past = self.cache(network)
        self.logits(network, ids, past, (LENGTH,))
        past.crop(-(LENGTH - 4))  # so many are removed
        assert past.get_seq_length() == 4
        with torch.no_grad():
            wanted = network(ids, use_cache=False).logits[:, 4:]
        self.near(self.logits(network, ids[:, 4:], past, (LENGTH - 4,)), wanted, "after crop it goes on otherwise")

    def test_the_network_stays_as_it_is(self) -> None:
        network = self.network()
        before, config = greedy(network, _inputs(1), NEW), network.config.to_dict()
        weights = {key: value.clone() for key, value in network.state_dict().items()}
        self.logits(network, tokens(2, LENGTH), self.cache(network), (LENGTH,))
        greedy(network, _inputs(1), NEW, past_key_values=self.cache(network))
        assert network.config.to_dict() == config, "a cache wrote into the network's config"
        assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
        assert torch.equal(greedy(network, _inputs(1), NEW), before), (
            "without the cache the network works otherwise now"
        )


def _inputs(seed: int) -> dict[str, torch.Tensor]:
    return padded(tokens(2, LENGTH, seed), (0, 2))
