"""What holds for every network. Imports torch and transformers."""

from __future__ import annotations

import json

import pytest

from dougong.testing.network_use import NetworkUse, uses
from dougong.testing.tiny import greedy, tokens  # first: it tells transformers to stay offline

# isort: split
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from dougong.testing.block_use import close

_FILES = ("config.json", "generation_config.json", "model.safetensors")


class NetworkConformance(NetworkUse):
    """A network keeps its promises of `dougong.kinds.Network` and is at home in transformers.

    `params` should be small: a vocabulary of some dozens, two layers.

    Attributes:
        side: what it is: a "decoder" sees what came before, an "encoder" sees everything and continues nothing, an
            "encoder-decoder" says something about what it is given.
        auto: the Auto class that loads it; that of its side, if not set.
        unused: names of parameters that have no gradient for a reason.
    """

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
        out = network(**self.inputs(network), output_hidden_states=True)
        names = ["hidden_states"]
        if self.side == "encoder-decoder":
            names = ["decoder_hidden_states", "encoder_hidden_states"]
            assert len(out.encoder_hidden_states) > 1
        states = out[names[0]]
        assert len(states) == network.config.num_hidden_layers + 1, "hidden states: the embeddings and one a layer"
        assert network.can_generate() == (self.side != "encoder"), "an encoder continues nothing, others do"

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

    def test_tokens_see_what_they_may(self) -> None:
        """Of an encoder everything, else what is before them, and all that an encoder-decoder is told."""
        network = self.network()
        told, ids = self.sides(network)
        other = ids.clone()
        other[:, 5] = (other[:, 5] + 1) % network.config.vocab_size
        with torch.no_grad():
            plain = self.says(network, told, ids).logits
            apart = (plain - self.says(network, told, other).logits).abs().amax((0, 2))
            heard = {name: value.roll(1, 1) for name, value in told.items()}
            moved = (plain - self.says(network, heard, ids).logits).abs().amax((0, 2))
        if self.side == "encoder":
            assert apart.min() > self.tolerance, "a token does not see all others"
        else:
            assert apart[:5].max() <= self.tolerance, "a token's logits depend on what comes after it"
            assert apart[5:].min() > self.tolerance, "a token has no effect on itself or on what comes after it"
        assert not told or moved.min() > self.tolerance, "what the encoder is told has no effect on all that is said"

    def test_padding_changes_nothing(self) -> None:
        """On the left where it is continued, on the right where it is only read."""
        network = self.network()
        if self.side != "decoder":
            told, ids = self.sides(network)
            told = told or {"input_ids": ids}
            heard, more = told["input_ids"], self.inputs(network, 2, 3)["input_ids"]
            mask = torch.cat([torch.ones_like(heard), torch.zeros_like(more)], 1)
            given = {"input_ids": torch.cat([heard, more], 1), "attention_mask": mask}
            said = {"decoder_input_ids": ids} if self.side == "encoder-decoder" else {}
            with torch.no_grad():
                found, alone = network(**given, **said).logits[:, :8], network(**told, **said).logits
            close(found, alone, 10 * self.tolerance, "padding on the right changes what is before it")
            return
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
        if self.side == "encoder":
            pytest.skip("it continues nothing")
        told, first = self.sides(network)
        ids = first if not told else first.new_full((len(first), 1), network.config.decoder_start_token_id)
        start = ids.shape[1]
        with torch.no_grad():
            for _ in range(6):  # by hand, the whole sequence anew for each token
                ids = torch.cat([ids, self.says(network, told, ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
        found = self.continued(network, told, first, 6)
        assert torch.equal(found, ids[:, start:]), "generate does not choose the likeliest token"
        assert torch.equal(self.continued(network, told, first, 6, use_cache=False), ids[:, start:])
        beams = [self.continued(network, told, first, 6, num_beams=3, use_cache=use) for use in (True, False)]
        assert torch.equal(*beams), "a cache that beams share is not reordered as they are"

    def test_a_token_at_a_time_gives_the_same_logits(self) -> None:
        network = self.network()
        told, ids = self.sides(network)
        with torch.no_grad():
            if self.side == "encoder":
                kept = self.says(network, told, ids, use_cache=True).get("past_key_values")
                assert kept is None, "an encoder has no past to keep"
                return
            whole, past, steps = self.says(network, told, ids, use_cache=False).logits, None, []
            for at in range(ids.shape[1]):
                out = self.says(network, told, ids[:, at : at + 1], past_key_values=past, use_cache=True)
                past = out.past_key_values
                steps.append(out.logits)
        close(torch.cat(steps, 1), whole, 10 * self.tolerance, "through the cache the logits are others")

    def test_embeddings_and_few_logits_can_be_asked_for(self) -> None:
        network = self.network()
        told, ids = self.sides(network)
        embed = network.get_input_embeddings()
        with torch.no_grad():
            whole = self.says(network, told, ids).logits
            given = {"inputs_embeds": embed(ids)}
            if told:
                given = {"inputs_embeds": embed(told["input_ids"]), "decoder_inputs_embeds": embed(ids)}
            close(network(**given).logits, whole, self.tolerance, "embeddings")
            if self.side != "encoder":
                few = self.says(network, told, ids, logits_to_keep=2).logits
                close(few, whole[:, -2:], self.tolerance, "logits_to_keep=2")

    # ------------------------------------------------------------ training

    def test_the_loss_is_the_cross_entropy_of_what_it_must_tell(self) -> None:
        """A decoder of the next token; others of what the labels say, an encoder-decoder behind its start token."""
        network = self.network()
        inputs = self.inputs(network, left=(0, 3, 5) if self.side == "decoder" else ())
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
        wanted, given = labels, dict(inputs)
        if self.side == "decoder":
            wanted = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], 1)
        else:
            labels[:, 5:] = -100
        if self.side == "encoder-decoder":
            del given["decoder_input_ids"]  # made of the labels
            start = labels.new_full((len(labels), 1), network.config.decoder_start_token_id)
            behind = torch.cat([start, labels[:, :-1].clamp(min=0)], 1)
            logits = network(**given, decoder_input_ids=behind).logits
        else:
            logits = network(**inputs).logits
        mean = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=-100)
        assert network(**given, labels=labels).loss.item() == pytest.approx(mean.item(), rel=1e-5), (
            "not the mean cross-entropy in nats, shifted by 1 in a decoder"
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
        assert not [name for name in strange if not name.endswith(".py")], f"beside safetensors and JSON: {strange}"
        code = sum(path.stat().st_size for path in folder.glob("*.py"))
        assert code < 1000, "code of the model is saved with it; let it name installed classes"
        again = self.auto_class().from_pretrained(folder).eval()
        assert type(again) is type(network), f"{self.auto_class().__name__} makes a {type(again).__name__} of it"
        with torch.no_grad():
            inputs = self.inputs(network)
            close(again(**inputs).logits, network(**inputs).logits, 0, "loaded it computes something else")
            half = self.auto_class().from_pretrained(folder, dtype=torch.bfloat16).eval()
            assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
            scale = network(**inputs).logits.std().item()
            close(half(**inputs).logits.float(), network(**inputs).logits, 0.3 * scale + 0.1, "in bfloat16")
        again.save_pretrained(self.folder / "again")
        for name in ("config.json", "model.safetensors"):
            assert (self.folder / "again" / name).read_bytes() == (folder / name).read_bytes(), f"{name} changes"
        parts = set(uses(self.tree()))
        written = set(uses(json.loads((folder / "config.json").read_text("utf-8"))))
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
            again = self.auto_class().from_pretrained(self.folder / "grown").eval()
            close(again(**inputs).logits, after, 0, "grown, saved and loaded it computes something else")

    def test_using_it_does_not_change_it(self) -> None:
        network = self.network()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        config = network.config.to_dict()
        inputs = self.inputs(network)
        given = {key: value.clone() for key, value in inputs.items()}
        if self.side != "encoder":
            self.continued(network, *self.sides(network), 3)
        with torch.no_grad():
            first = network(**inputs).logits
            close(network(**inputs).logits, first, 0, "the second call gives something else than the first")
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items()), "weights change"
        assert all(torch.equal(inputs[key], given[key]) for key in given), "it writes into its input"
        assert network.config.to_dict() == config, "it writes into its config"
