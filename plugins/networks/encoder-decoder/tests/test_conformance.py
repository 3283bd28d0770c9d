import pytest
import torch
from dougong.testing import NetworkConformance
from transformers import AutoModelForSeq2SeqLM

NORM = {"use": "layernorm"}
ATTENTION = {"use": "attention", "heads": 4, "positions": "none"}
LAYER = {"use": "transformer", "norm": NORM, "attention": ATTENTION, "ffn": {"use": "ffn", "inner": 24}}


class TestEncoderDecoder(NetworkConformance):
    """What the suite says of a sequence and its past is said of the decoder's side here; the encoder's is given."""

    name = "network.encoder-decoder"
    auto = AutoModelForSeq2SeqLM
    params = {
        "vocab": 37,
        "width": 16,
        "layers": 2,
        "encoder": LAYER,
        "decoder": {**LAYER, "cross": {**ATTENTION, "cross": True}},
        "positions": {"use": "positions-sinusoidal"},
        "norm": NORM,
        "pad": 0,
        "bos": 1,
    }
    refused = tuple({name: 0} for name in ("vocab", "width", "layers", "max_positions", "initializer_range"))
    refused += ({"encoder_layers": 0}, {"pad": -1}, {"bos": 37}, {"eos": 37}, {"start": 37}, {"dropout": 1.0})
    accepted = ({"pad": 36}, {"encoder_layers": 1}, {"start": 0}, {"layers": 1}, {"dropout": 0.0}, {"width": 1})

    def inputs(self, network, batch=3, length=8, left=()):
        inputs = super().inputs(network, batch, length, left)
        ids = inputs["input_ids"].flip(1).clamp(min=3)
        return {**inputs, "decoder_input_ids": ids}

    def sides(self, network):
        """An encoder's side, and tokens for the decoder's."""
        inputs = self.inputs(network, 2)
        return {"input_ids": inputs["input_ids"]}, inputs["decoder_input_ids"]

    def observe(self, built):
        network = self.network()
        with torch.no_grad():
            return network(**self.inputs(network)).logits

    def test_it_is_a_model_of_transformers(self):
        """Hidden states come under the names of their sides."""
        network = self.network()
        out = network(**self.inputs(network), output_hidden_states=True)
        assert out.logits.shape == (3, 8, 37)
        assert out.loss is None
        assert len(out.encoder_hidden_states) == len(out.decoder_hidden_states) == 3

    def test_no_weight_is_shared_unless_tied(self):
        """Embeddings of both sides and the output are one here, and nothing else."""
        network, known = self.network(), {}
        for name, parameter in network.named_parameters(remove_duplicate=False):
            known.setdefault(parameter.data_ptr(), []).append(name)
        shared = [sorted(names) for names in known.values() if len(names) > 1]
        assert shared == [["lm_head.weight", "model.decoder.embed_tokens.weight", "model.encoder.embed_tokens.weight"]]

    def test_tokens_see_what_is_before_them_only(self):
        network = self.network()
        given, ids = self.sides(network)
        other = ids.clone()
        other[:, 5] = (other[:, 5] + 1) % 37
        apart = network(**given, decoder_input_ids=ids).logits - network(**given, decoder_input_ids=other).logits
        moved = apart.abs().amax((0, 2)) > self.tolerance
        assert moved.tolist() == [False] * 5 + [True] * 3
        heard = {"input_ids": given["input_ids"].roll(1, 1)}
        apart = network(**given, decoder_input_ids=ids).logits - network(**heard, decoder_input_ids=ids).logits
        assert apart.abs().amax((0, 2)).min() > self.tolerance, "what is heard changes all that is said"

    def test_padding_on_the_left_changes_nothing(self):
        """On the right of the encoder's side, where it stands there."""
        network = self.network()
        given, said = self.sides(network)
        ids, ones, pads = given["input_ids"], torch.ones(2, 8, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long)
        mask = torch.cat([ones, pads], 1)
        padded = network(torch.cat([ids, pads], 1), attention_mask=mask, decoder_input_ids=said).logits
        torch.testing.assert_close(padded, network(ids, decoder_input_ids=said).logits, atol=1e-5, rtol=0)

    def test_generating_through_the_cache_gives_what_it_gives_without(self):
        network = self.network()
        given, _ = self.sides(network)
        quiet = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
        said = torch.ones(2, 1, dtype=torch.long)
        with torch.no_grad():
            for _ in range(6):
                last = network(**given, decoder_input_ids=said, use_cache=False).logits[:, -1:]
                said = torch.cat([said, last.argmax(-1)], 1)
        for settings in ({}, {"use_cache": False}):
            assert torch.equal(network.generate(**given, **quiet, **settings), said)
        beams = [network.generate(**given, **quiet, num_beams=3, use_cache=use) for use in (True, False)]
        assert torch.equal(*beams)

    def test_a_token_at_a_time_gives_the_same_logits(self):
        network = self.network()
        given, ids = self.sides(network)
        with torch.no_grad():
            whole, past, steps = network(**given, decoder_input_ids=ids, use_cache=False).logits, None, []
            for at in range(8):
                out = network(**given, decoder_input_ids=ids[:, at : at + 1], past_key_values=past, use_cache=True)
                past = out.past_key_values
                steps.append(out.logits)
        torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-4, rtol=0)

    def test_embeddings_and_few_logits_can_be_asked_for(self):
        network = self.network()
        given, ids = self.sides(network)
        whole, embed = network(**given, decoder_input_ids=ids).logits, network.get_input_embeddings()
        found = network(inputs_embeds=embed(given["input_ids"]), decoder_inputs_embeds=embed(ids)).logits
        torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
        few = network(**given, decoder_input_ids=ids, logits_to_keep=2).logits
        torch.testing.assert_close(few, whole[:, -2:], atol=1e-5, rtol=0)

    def test_the_loss_is_the_cross_entropy_of_the_next_token(self):
        """The labels are the decoder's, behind its start token; -100 is left out."""
        network = self.network()
        given, ids = self.sides(network)
        labels = ids.clone()
        labels[:, 6:] = -100
        out = network(**given, labels=labels)
        said = torch.cat([torch.ones(2, 1, dtype=torch.long), ids[:, :-1]], 1)
        torch.testing.assert_close(
            out.logits[:, :7], network(**given, decoder_input_ids=said).logits[:, :7], atol=1e-5, rtol=0
        )
        wanted = -out.logits.log_softmax(-1).gather(-1, ids[..., None])[:, :6].mean()
        assert out.loss.item() == pytest.approx(wanted.item(), rel=1e-5)

    def test_the_trainer_trains_it(self):
        """In test_encoder_decoder.py, with Seq2SeqTrainer."""

    def test_using_it_does_not_change_it(self):
        network = self.network()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        config, inputs = network.config.to_dict(), self.inputs(network)
        first = network(**inputs).logits
        network.generate(input_ids=inputs["input_ids"], max_new_tokens=3, do_sample=False, eos_token_id=None)
        assert torch.equal(network(**inputs).logits, first)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        assert network.config.to_dict() == config
