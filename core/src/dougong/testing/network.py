"""What holds for every network. Imports torch and transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from dougong.testing.conformance import Conformance
from dougong.testing.tiny import greedy, padded, seeded, tokens  # first: it tells transformers to stay offline

# isort: split
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, PreTrainedModel

from dougong.testing.block import close

_FILES = ("config.json", "generation_config.json", "model.safetensors")


class NetworkConformance(Conformance):
    """A network keeps its promises of `dougong.kinds.Network` and is at home in transformers.

    `params` should be small: a vocabulary of some dozens, two layers.

    Attributes:
        auto: the Auto class that loads it.
        unused: names of parameters that have no gradient for a reason.
    """

    auto: Any = AutoModelForCausalLM
    unused: Sequence[str] = ()
    kind: ClassVar[str] = "network"
    tolerance = 1e-5

    def observe(self, built: Any) -> Any:
        network = seeded(built.build())
        with torch.no_grad():
            return [network(**self.inputs(network)).logits, greedy(network, self.inputs(network), 3)]

    def expected(self, network: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """The logits that it must give, by an independent model with its weights; None for no check."""
        return None

    def network(self) -> Any:
        """A network with seeded weights, in evaluation mode."""
        return seeded(self.build().build())

    def inputs(self, network: Any, batch: int = 3, length: int = 8, left: tuple[int, ...] = ()) -> dict[str, Any]:
        pad = network.config.pad_token_id
        return padded(tokens(batch, length, vocab=network.config.vocab_size), left, 0 if pad is None else pad)

    # ------------------------------------------------------------ a model of transformers

    def test_it_is_a_model_of_transformers(self) -> None:
        network = self.network()
        assert isinstance(network, PreTrainedModel), "build gives a transformers.PreTrainedModel"
        for fact in ("vocab_size", "hidden_size", "num_hidden_layers"):
            assert isinstance(getattr(network.config, fact, None), int), f"the config does not say {fact}"
        out = network(**self.inputs(network))
        assert out.logits.shape == (3, 8, network.config.vocab_size)
        assert torch.isfinite(out.logits).all()
        assert out.loss is None, "a loss without labels"
        hidden = network(**self.inputs(network), output_hidden_states=True).hidden_states
        assert len(hidden) == network.config.num_hidden_layers + 1, "hidden states: the embeddings and one a layer"

    def test_each_is_built_anew(self) -> None:
        technique = self.build()
        first, second = technique.build(), technique.build()
        mine = {parameter.data_ptr() for parameter in first.parameters()}
        assert not [p for p in second.parameters() if p.data_ptr() in mine], "two networks share weights"
        assert first.config is not second.config, "two networks share a config"
        assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters())), (
            "weights are not drawn"
        )
        torch.manual_seed(3)
        one = technique.build().state_dict()
        torch.manual_seed(3)
        two = technique.build().state_dict()
        assert all(torch.equal(one[key], two[key]) for key in one), "with one seed, two networks: draw by torch alone"

    def test_no_weight_is_shared_unless_tied(self) -> None:
        network = self.network()
        known: dict[int, str] = {}
        for name, parameter in network.named_parameters(remove_duplicate=False):
            other = known.setdefault(parameter.data_ptr(), name)
            tied = network.config.tie_word_embeddings and network.get_output_embeddings().weight is parameter
            assert other == name or tied, f"{name} and {other} are one weight; only `ref` and tying may do that"

    def test_it_keeps_its_own_promises(self) -> None:
        """`expected`: the logits of an independent model."""
        network = self.network()
        for left in ((), (0, 3, 5)):
            inputs = self.inputs(network, left=left)
            with torch.no_grad():
                wanted = self.expected(network, inputs)
                if wanted is not None:
                    close(network(**inputs).logits, wanted, self.tolerance, "its logits are not what they must be")

    # ------------------------------------------------------------ what depends on what

    def test_tokens_see_what_is_before_them_only(self) -> None:
        network = self.network()
        ids = tokens(2, 8, vocab=network.config.vocab_size)
        other = ids.clone()
        other[:, 5] = (other[:, 5] + 1) % network.config.vocab_size
        with torch.no_grad():
            apart = (network(ids).logits - network(other).logits).abs().amax((0, 2))
        assert apart[:5].max() <= self.tolerance, "a token's logits depend on what comes after it"
        assert apart[5:].min() > self.tolerance, "a token has no effect on itself or on what comes after it"

    def test_padding_on_the_left_changes_nothing(self) -> None:
        network = self.network()
        inputs = self.inputs(network, left=(0, 3, 5))
        together = greedy(network, inputs, 6)
        with torch.no_grad():
            logits = network(**inputs).logits
            for row, start in enumerate((0, 3, 5)):
                alone = network(inputs["input_ids"][row : row + 1, start:]).logits[0]
                # Without positions, as a caller may leave them out: those of the rotary kind know distances alone.
                close(logits[row, start:], alone, 10 * self.tolerance, f"row {row} depends on its {start} pads")
                single = greedy(network, {"input_ids": inputs["input_ids"][row : row + 1, start:]}, 6)
                assert torch.equal(together[row], single[0]), f"row {row} is continued otherwise with {start} pads"

    def test_generating_through_the_cache_gives_what_it_gives_without(self) -> None:
        network = self.network()
        inputs = self.inputs(network, batch=2, left=())
        ids = inputs["input_ids"]
        with torch.no_grad():
            for _ in range(6):  # by hand, the whole sequence anew for each token
                ids = torch.cat([ids, network(ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
        assert torch.equal(greedy(network, inputs, 6), ids[:, 8:]), "generate does not choose the likeliest token"
        assert torch.equal(greedy(network, inputs, 6, use_cache=False), ids[:, 8:])
        beams = [greedy(network, inputs, 6, num_beams=3, use_cache=use) for use in (True, False)]
        assert torch.equal(*beams), "a cache that beams share is not reordered as they are"

    def test_a_token_at_a_time_gives_the_same_logits(self) -> None:
        network = self.network()
        ids = tokens(2, 7, vocab=network.config.vocab_size)
        with torch.no_grad():
            whole, past, steps = network(ids, use_cache=False).logits, None, []
            for at in range(7):
                out = network(ids[:, at : at + 1], past_key_values=past, use_cache=True)
                past = out.past_key_values
                steps.append(out.logits)
        close(torch.cat(steps, 1), whole, 10 * self.tolerance, "through the cache the logits are others")

    def test_embeddings_and_few_logits_can_be_asked_for(self) -> None:
        network = self.network()
        ids = tokens(2, 5, vocab=network.config.vocab_size)
        with torch.no_grad():
            whole = network(ids).logits
            close(
                network(inputs_embeds=network.get_input_embeddings()(ids)).logits, whole, self.tolerance, "embeddings"
            )
            close(network(ids, logits_to_keep=2).logits, whole[:, -2:], self.tolerance, "logits_to_keep=2")

    # ------------------------------------------------------------ training

    def test_the_loss_is_the_cross_entropy_of_the_next_token(self) -> None:
        network = self.network()
        inputs = self.inputs(network, left=(0, 3, 5))
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
        out = network(**inputs, labels=labels)
        wanted = F.cross_entropy(out.logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100)
        assert out.loss.item() == pytest.approx(wanted.item(), rel=1e-5), (
            "not the mean cross-entropy in nats, shifted by 1"
        )
        nothing = network(**self.inputs(network), labels=torch.full((3, 8), -100)).loss
        assert not nothing > 0, "labels of -100 count"

    def test_every_parameter_has_a_gradient_and_checkpointing_changes_none(self) -> None:
        found = []
        for checkpointing in (False, True):
            network = self.network().train()
            if checkpointing:
                if not network.supports_gradient_checkpointing:
                    continue
                enable = getattr(network, "activation_checkpointing_enable", None)  # the name before transformers 5.20
                (enable or network.gradient_checkpointing_enable)()
            inputs = self.inputs(network)
            network(**inputs, labels=inputs["input_ids"], use_cache=False).loss.backward()
            for name, parameter in network.named_parameters():
                if name not in self.unused:
                    assert parameter.grad is not None, f"{name} has no gradient"
                    assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
                    assert parameter.grad.abs().max() > 1e-6, f"the gradient of {name} is zero"
            found.append([p.grad for p in network.parameters() if p.grad is not None])
        for plain, again in zip(found[0], found[-1]):
            close(again, plain, self.tolerance, "gradient checkpointing changes a gradient")

    @pytest.mark.slow
    def test_the_trainer_trains_it(self) -> None:
        pytest.importorskip("accelerate")
        from transformers import Trainer, TrainingArguments

        network = self.network()
        rows = [{"input_ids": row, "labels": row} for row in tokens(8, 6, vocab=network.config.vocab_size)]
        quiet = {
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
            "logging_strategy": "no",
            "save_strategy": "no",
        }
        settings = TrainingArguments(self.folder / "trainer", max_steps=8, learning_rate=1e-2, **quiet)
        before = network(**self.inputs(network), labels=self.inputs(network)["input_ids"]).loss.item()
        Trainer(network, settings, train_dataset=rows).train()
        assert network.eval()(rows[0]["input_ids"][None], labels=rows[0]["labels"][None]).loss.item() < before

    # ------------------------------------------------------------ saving

    def test_it_is_saved_as_safetensors_with_its_tree_and_loads_the_same(self) -> None:
        network, folder = self.network(), self.folder / "saved"
        network.save_pretrained(folder)
        strange = sorted(path.name for path in folder.iterdir() if path.name not in _FILES)
        assert not strange, f"beside safetensors and JSON it is saved as {strange}"
        again = self.auto.from_pretrained(folder).eval()
        assert type(again) is type(network), f"{self.auto.__name__} makes a {type(again).__name__} of it"
        with torch.no_grad():
            inputs = self.inputs(network)
            close(again(**inputs).logits, network(**inputs).logits, 0, "loaded it computes something else")
            half = self.auto.from_pretrained(folder, dtype=torch.bfloat16).eval()
            assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
            scale = network(**inputs).logits.std().item()
            close(half(**inputs).logits.float(), network(**inputs).logits, 0.3 * scale + 0.1, "in bfloat16")
        again.save_pretrained(self.folder / "again")
        for name in ("config.json", "model.safetensors"):
            assert (self.folder / "again" / name).read_bytes() == (folder / name).read_bytes(), f"{name} changes"
        parts = set(_uses(self._tree()))
        written = set(_uses(json.loads((folder / "config.json").read_text("utf-8"))))
        assert parts <= written, f"config.json does not say that it is made of {sorted(parts - written)}"

    def test_its_vocabulary_can_grow(self) -> None:
        network = self.network()
        inputs = self.inputs(network)
        with torch.no_grad():
            before = network(**inputs).logits
            network.resize_token_embeddings(network.config.vocab_size + 3, mean_resizing=False)
            after = network(**inputs).logits
            close(after[..., :-3], before, self.tolerance, "new tokens change the logits of the others")
            network.save_pretrained(self.folder / "grown")
            again = self.auto.from_pretrained(self.folder / "grown").eval()
            close(again(**inputs).logits, after, 0, "grown, saved and loaded it computes something else")

    def test_using_it_does_not_change_it(self) -> None:
        network = self.network()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        config = network.config.to_dict()
        inputs = self.inputs(network)
        given = {key: value.clone() for key, value in inputs.items()}
        greedy(network, inputs, 3)
        with torch.no_grad():
            first = network(**inputs).logits
            close(network(**inputs).logits, first, 0, "the second call gives something else than the first")
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items()), "weights change"
        assert all(torch.equal(inputs[key], given[key]) for key in given), "it writes into its input"
        assert network.config.to_dict() == config, "it writes into its config"

    def _tree(self) -> Any:
        from dougong.assemble import origin

        found = origin(self.build())
        return {key: value for key, value in found.params.items() if key != "use"} if found else {}


def _uses(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        if isinstance(tree.get("use"), str):
            yield tree["use"]
        for item in tree.values():
            yield from _uses(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _uses(item)
