"""The block against transformers' MambaMixer and MambaForCausalLM, which are another implementation of the paper."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import pytest
import torch
from dougong import BuildError, make
from dougong_block_mamba import Params
from dougong_block_mamba.mamba import Mamba
from transformers import AutoModelForCausalLM, DynamicCache, MambaConfig, MambaForCausalLM
from transformers.models.mamba.modeling_mamba import MambaMixer

torch.set_num_threads(1)
VOCAB, WIDTH = 37, 24
GREEDY = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "disable_compile": True}


def network(layer=None, layers=2, **params):
    torch.manual_seed(0)
    layer = layer or {"use": "mamba-layer", "mixer": {"use": "mamba", **params}}
    sizes = {"vocab": VOCAB, "width": WIDTH, "layers": layers, "pad": 0, "bos": 1, "eos": 2}
    return make("network.decoder", **sizes, layer=layer, initializer_range=0.3).build().eval()


def theirs(ours, **settings):
    """transformers' Mamba with the same weights."""
    config = MambaConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=2, layer_norm_epsilon=1e-6, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, **settings,
    )  # fmt: skip
    model = MambaForCausalLM(config).eval()
    names = {"model.embed_tokens": "backbone.embeddings", "model.norm": "backbone.norm_f", "model.": "backbone."}
    weights = {}
    for key, value in ours.state_dict().items():
        for mine, other in names.items():
            if key.startswith(mine):
                key = other + key.removeprefix(mine)
                break
        weights[key] = value
    model.load_state_dict(weights)
    return model


def batch(left=(3, 0, 1), length=9):
    ids = torch.randint(3, VOCAB, (len(left), length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    for row, pads in enumerate(left):
        ids[row, :pads], mask[row, :pads] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


def greedy(model, inputs, **settings):
    return model.generate(**inputs, **GREEDY | settings)[:, inputs["input_ids"].shape[1] :]


@pytest.mark.parametrize(
    ("ours", "settings"),
    [
        ({}, {}),
        ({"state": 5, "conv": 3, "expand": 1, "dt_rank": 4},
         {"state_size": 5, "conv_kernel": 3, "expand": 1, "time_step_rank": 4}),
        ({"conv_bias": False, "bias": True}, {"use_conv_bias": False, "use_bias": True}),
    ],
)  # fmt: skip
def test_logits_of_a_network_are_those_of_transformers(ours, settings):
    """Whole, with padding on the left, and a token at a time through each side's cache."""
    ours = network(**ours)
    other, inputs = theirs(ours, **settings), batch()
    with torch.no_grad():
        real = inputs["attention_mask"].bool()
        found, wanted = ours(**inputs).logits[real], other(**inputs).logits[real]
        assert (found - wanted).abs().max() <= 1e-6 * wanted.abs().max()
        ids, past, cache = batch(left=(0, 0))["input_ids"], None, None
        for at in range(9):
            mine = ours(ids[:, at : at + 1], past_key_values=past, use_cache=True)
            its = other(ids[:, at : at + 1], cache_params=cache, use_cache=True)
            past, cache = mine.past_key_values, its.cache_params
            assert (mine.logits - its.logits).abs().max() <= 1e-6 * its.logits.abs().max()


def test_gradients_are_those_of_transformers():
    """Of every parameter and of the input, over more than one chunk of the scan."""
    config = MambaConfig(hidden_size=16, num_hidden_layers=1, state_size=8)
    other, ours = MambaMixer(config, 0), Mamba(Params(state=8), config, 0)
    ours.load_state_dict(other.state_dict())
    x = torch.randn(2, 131, 16, generator=torch.Generator().manual_seed(3))
    weight, gradients = torch.randn(2, 131, 16, generator=torch.Generator().manual_seed(4)), []
    for block in (ours, other):
        hidden = x.clone().requires_grad_()
        (block(hidden) * weight).sum().backward()
        gradients.append({"hidden": hidden.grad} | {name: p.grad for name, p in block.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, wanted in gradients[1].items():
        assert (gradients[0][name] - wanted).norm() <= 1e-6 * wanted.norm(), name


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_decoding_gives_the_same_tokens_with_a_cache_and_without_one_and_as_transformers(settings):
    ours, inputs = network(), batch()
    found = greedy(ours, inputs, **settings)
    assert torch.equal(found, greedy(ours, inputs, use_cache=False, **settings))
    assert torch.equal(found, greedy(theirs(ours), inputs, **settings))
    alone = {"input_ids": inputs["input_ids"][:1, 3:]}
    assert torch.equal(found[:1], greedy(ours, alone, **settings)), "padding moves the state"


def test_the_state_does_not_grow():
    model, sizes = network(), []
    for length in (2, 9):
        past = DynamicCache(config=model.config)
        model(batch(left=(0,), length=length)["input_ids"], past_key_values=past, use_cache=True)
        layer = past.layers[1]
        sizes.append(layer.conv_states[0].numel() + layer.recurrent_states[0].numel())
    assert sizes == [2 * WIDTH * (4 + 16)] * 2


def test_a_cache_that_was_reset_starts_anew():
    model, ids = network(), batch(left=(0,))["input_ids"]
    past = DynamicCache(config=model.config)
    with torch.no_grad():
        first = model(ids, past_key_values=past, use_cache=True).logits
        past.reset()
        assert torch.equal(model(ids, past_key_values=past, use_cache=True).logits, first)


def test_hybrids_with_attention_decode_through_one_cache():
    """Jamba's order: the mixer stands where attention stands, every other layer."""
    turn = [{"use": "mamba"}, {"use": "attention", "heads": 4}]
    layer = {"use": "transformer", "attention": {"use": "cycle", "of": turn}, "ffn": {"use": "ffn", "inner": 24}}
    model, inputs = network(layer, layers=4), batch()
    assert model.config.layer_types == ["linear_attention", "full_attention"] * 2
    assert torch.equal(greedy(model, inputs), greedy(model, inputs, use_cache=False))


def test_saved_and_loaded_it_computes_the_same(tmp_path):
    model = network()
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)


def test_checkpointing_changes_no_gradient():
    model, ids, found = network().train(), batch(left=(0, 0))["input_ids"], []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.zero_grad()
        model(ids, labels=ids, use_cache=False).loss.backward()
        found.append([p.grad.clone() for p in model.parameters()])
    for plain, checkpointed in zip(*found):
        torch.testing.assert_close(checkpointed, plain)


def test_fresh_weights_are_those_of_the_paper():
    """Section 3.6: A is -(n + 1), D is 1, step sizes lie in [0.001, 0.1]."""
    mixer = network(layers=1).model.layers[0].mixer
    torch.testing.assert_close(mixer.A_log.exp(), torch.arange(1.0, 17).expand(2 * WIDTH, 16))
    Δ = torch.nn.functional.softplus(mixer.dt_proj.bias)
    assert Δ.min() >= 1e-3 * 0.999
    assert Δ.max() <= 0.1 * 1.001
    assert Δ.std() > 0
    assert torch.equal(mixer.D, torch.ones(2 * WIDTH))


def test_in_half_precision_the_state_stays_in_float32():
    model, ids = network().bfloat16(), batch(left=(0,))["input_ids"]
    past = DynamicCache(config=model.config)
    with torch.no_grad():
        found = model(ids, past_key_values=past, use_cache=True).logits.float()
    assert past.layers[1].recurrent_states[0].dtype == torch.float32
    wanted = network()(ids).logits
    assert (found - wanted).norm() <= 0.05 * wanted.norm()
    with torch.autocast("cpu", torch.bfloat16):
        autocast = network()(ids).logits.float()
    assert (autocast - wanted).norm() <= 0.05 * wanted.norm()


def test_an_encoder_is_refused():
    config = MambaConfig(hidden_size=16, num_hidden_layers=1)
    config.is_causal = False
    with pytest.raises(BuildError, match="only works forward in time"):
        Mamba(Params(), config, 0)
