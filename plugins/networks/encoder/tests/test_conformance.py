import sys
from pathlib import Path

import torch
from dougong.testing import NetworkConformance
from transformers import AutoModelForMaskedLM

sys.path.insert(0, str(Path(__file__).parent))
from encoder_twin import PARAMS, bert


class Encodes(NetworkConformance):
    """What the suite says of the past and of continuing is said of states here: an encoder generates nothing."""

    auto = AutoModelForMaskedLM

    def observe(self, built):
        torch.manual_seed(0)
        network = self.network()
        with torch.no_grad():
            return network(**self.inputs(network)).logits

    def test_tokens_see_what_is_before_them_only(self):
        """Every position sees every other."""
        network = self.network()
        ids = self.inputs(network, 2)["input_ids"]
        other = ids.clone()
        other[:, 5] = (other[:, 5] + 1) % network.config.vocab_size
        apart = (network(ids).logits - network(other).logits).abs().amax((0, 2))
        assert apart.min() > self.tolerance

    def test_padding_on_the_left_changes_nothing(self):
        """On the right, where encoders have it; on the left with positions given."""
        network = self.network()
        ids = self.inputs(network, 1)["input_ids"]
        alone = network(ids).logits
        pads, ones = torch.zeros(1, 3, dtype=torch.long), torch.ones_like(ids)
        right = network(torch.cat([ids, pads], 1), attention_mask=torch.cat([ones, pads], 1)).logits[:, :8]
        torch.testing.assert_close(right, alone, atol=1e-5, rtol=0)
        mask = torch.cat([pads, ones], 1)
        where = (mask.cumsum(1) - 1).clamp(min=0)
        left = network(torch.cat([pads, ids], 1), attention_mask=mask, position_ids=where).logits[:, 3:]
        torch.testing.assert_close(left, alone, atol=1e-5, rtol=0)

    def test_generating_through_the_cache_gives_what_it_gives_without(self):
        assert not self.network().can_generate()

    def test_a_token_at_a_time_gives_the_same_logits(self):
        """Nothing is kept: a call with use_cache gives no cache."""
        network = self.network()
        assert "past_key_values" not in network(**self.inputs(network), use_cache=True)

    def test_embeddings_and_few_logits_can_be_asked_for(self):
        network = self.network()
        ids = self.inputs(network)["input_ids"]
        found = network(inputs_embeds=network.get_input_embeddings()(ids)).logits
        torch.testing.assert_close(found, network(ids).logits)

    def test_the_loss_is_the_cross_entropy_of_the_next_token(self):
        """Of the token that stood there, not the next."""
        network = self.network()
        inputs = self.inputs(network)
        labels = inputs["input_ids"].clone()
        labels[:, ::2] = -100
        out = network(**inputs, labels=labels)
        wanted = -out.logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0][labels >= 0].mean()
        torch.testing.assert_close(out.loss, wanted)

    def test_using_it_does_not_change_it(self):
        network = self.network()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        config, inputs = network.config.to_dict(), self.inputs(network)
        assert torch.equal(network(**inputs).logits, network(**inputs).logits)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        assert network.config.to_dict() == config


UNUSED = tuple(f"model.layers.{index}.self_attn.k_proj.bias" for index in range(2))  # softmax takes it away


class TestEncoder(Encodes):
    name = "network.encoder"
    params = PARAMS
    unused = UNUSED
    refused = tuple({name: 0} for name in ("vocab", "width", "layers", "max_positions", "initializer_range"))
    refused += ({"pad": -1}, {"bos": 37}, {"eos": 37}, {"types": -1}, {"dropout": 1.0}, {"dropout": -0.1})
    accepted = ({"pad": 36}, {"types": 0}, {"layers": 1}, {"dropout": 0.99}, {"width": 1}, {"max_positions": 1})

    def expected(self, network, inputs):
        return bert(network)(**inputs).logits


class TestPreNormWithRotations(Encodes):
    name = "network.encoder"
    params = {
        "vocab": 37,
        "width": 16,
        "layers": 2,
        "pad": 0,
        "norm": {"use": "rmsnorm"},
        "tie_embeddings": False,
        "layer": {
            "use": "transformer",
            "attention": {"use": "attention", "heads": 4, "kv_heads": 2},
            "ffn": {"use": "ffn", "inner": 24},
        },
    }


class TestAlibi(TestPreNormWithRotations):
    name = "network.encoder"
    params = {
        **TestPreNormWithRotations.params,
        "layer": {
            "use": "transformer",
            "attention": {"use": "attention", "heads": 4, "positions": "alibi", "window": 3},
            "ffn": {"use": "ffn", "inner": 24},
        },
    }
