"""RWKV-4 against transformers' RwkvForCausalLM, which is another implementation of the paper."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import pytest
import torch
from dougong import BuildError, make
from dougong_block_rwkv import ChannelParams, TimeParams4
from dougong_block_rwkv.rwkv4 import ChannelMix, TimeMix
from transformers import RwkvConfig, RwkvForCausalLM
from transformers.models.rwkv.modeling_rwkv import RwkvSelfAttention

torch.set_num_threads(1)
VOCAB, WIDTH = 37, 16
GREEDY = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "disable_compile": True}
NAMES = {
    "self_attn": "attention",
    "mlp": "feed_forward",
    "input_layernorm": "ln1",
    "post_attention_layernorm": "ln2",
    "model.layers": "rwkv.blocks",
    "model.embed_tokens": "rwkv.embeddings",
    "model.embed_norm": "rwkv.blocks.0.pre_ln",
    "model.norm": "rwkv.ln_out",
    "lm_head": "head",
}


def network():
    torch.manual_seed(0)
    layer = {
        "use": "transformer",
        "attention": {"use": "rwkv4"},
        "ffn": {"use": "rwkv4-channel"},
        "norm": {"use": "layernorm"},
    }
    norm = {"use": "layernorm"}
    sizes = {"vocab": VOCAB, "width": WIDTH, "layers": 3, "pad": 0, "bos": 1, "eos": 2}
    model = make("network.decoder", **sizes, layer=layer, embed_norm=norm, norm=norm, initializer_range=0.3).build()
    return model.eval()


def theirs(ours):
    """transformers' RWKV with the same weights."""
    config = RwkvConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=3, context_length=64, tie_word_embeddings=False
    )
    weights = {}
    for key, value in ours.state_dict().items():
        for mine, other in NAMES.items():
            key = key.replace(mine, other)
        weights[key] = value
    model = RwkvForCausalLM(config).eval()
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


def test_logits_of_a_network_are_those_of_transformers():
    """Whole, and a token at a time through each side's state (theirs mixes up the rows of a batch, so in one row)."""
    ours = network()
    other, ids = theirs(ours), batch(left=(0, 0))["input_ids"]
    with torch.no_grad():
        wanted = other(ids).logits
        assert (ours(ids).logits - wanted).abs().max() <= 1e-6 * wanted.abs().max()
        past, state, ids = None, None, ids[:1]
        for at in range(9):
            mine = ours(ids[:, at : at + 1], past_key_values=past, use_cache=True)
            its = other(ids[:, at : at + 1], state=state, use_cache=True)
            past, state = mine.past_key_values, its.state
            assert (mine.logits - its.logits).abs().max() <= 1e-6 * wanted.abs().max()


def test_gradients_are_those_of_transformers():
    """Of every parameter and of the input, both against float64: over long sequences theirs lose digits."""
    config = RwkvConfig(hidden_size=16, num_hidden_layers=2)
    config.initializer_range = 0.02  # which blocks may rely on
    torch.manual_seed(0)
    other = RwkvSelfAttention(config, 1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape))
    x = torch.randn(2, 50, 16, generator=torch.Generator().manual_seed(3))
    weight, gradients = torch.randn(2, 50, 16, generator=torch.Generator().manual_seed(4)), []
    for dtype in (torch.float64, torch.float32, None):
        block = other if dtype is None else TimeMix(TimeParams4(), config, 1)
        if dtype is not None:
            block.load_state_dict(other.state_dict())
            block.to(dtype)
        hidden = x.clone().to(dtype or torch.float32).requires_grad_()
        out = block(hidden)
        ((out[0] if dtype is None else out) * weight).sum().backward()
        gradients.append({"hidden": hidden.grad} | {name: p.grad for name, p in block.named_parameters()})
    exact, ours, its = gradients
    assert exact.keys() == its.keys()
    for name, wanted in exact.items():
        assert (ours[name] - wanted).norm() <= 1e-6 * wanted.norm(), name
        assert (its[name] - wanted).norm() <= 2e-6 * wanted.norm(), name


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_decoding_gives_the_same_tokens_with_a_cache_and_without_one(settings):
    model, inputs = network(), batch()
    found = greedy(model, inputs, **settings)
    assert torch.equal(found, greedy(model, inputs, use_cache=False, **settings))
    alone = {"input_ids": inputs["input_ids"][:1, 3:]}
    assert torch.equal(found[:1], greedy(model, alone, **settings)), "padding moves the state"


def test_decoding_gives_the_tokens_of_transformers():
    model, inputs = network(), batch(left=(0, 0))
    other, ids = theirs(model), inputs["input_ids"]
    with torch.no_grad():
        for _ in range(8):
            ids = torch.cat((ids, other(ids).logits[:, -1].argmax(-1, keepdim=True)), 1)
    assert torch.equal(greedy(model, inputs), ids[:, 9:])


def test_a_first_piece_of_padding_alone_leaves_the_state_empty():
    model, ids = network(), batch(left=(0,))["input_ids"]
    mask, padded = torch.tensor([[0] * 4 + [1] * 9]), torch.cat((torch.zeros(1, 4, dtype=torch.long), ids), 1)
    with torch.no_grad():
        first = model(padded[:, :4], attention_mask=mask[:, :4], use_cache=True)
        rest = model(padded[:, 4:], attention_mask=mask, past_key_values=first.past_key_values, use_cache=True)
        assert torch.isfinite(first.logits).all()
        torch.testing.assert_close(rest.logits, model(ids).logits, rtol=1e-5, atol=1e-5)


def test_fresh_weights_are_those_of_the_paper():
    """Appendix E, in a layer in the middle of three."""
    mixer = network().model.layers[1].self_attn
    h = torch.arange(WIDTH)
    torch.testing.assert_close(mixer.time_decay, -5 + 8 * (h / (WIDTH - 1)) ** (0.7 + 1.3 / 2))
    torch.testing.assert_close(mixer.time_mix_key[0, 0], (h / WIDTH) ** (2 / 3))
    torch.testing.assert_close(mixer.time_mix_value[0, 0], (h / WIDTH) ** (2 / 3) + 0.15)
    torch.testing.assert_close(mixer.time_mix_receptance[0, 0], (h / WIDTH) ** (1 / 3))
    torch.testing.assert_close(mixer.time_first[:3].exp(), 0.3 * torch.tensor([0.0, 0.5, -0.5]).exp())


@pytest.mark.parametrize(("block", "params"), [(TimeMix, TimeParams4()), (ChannelMix, ChannelParams())])
def test_an_encoder_is_refused(block, params):
    config = RwkvConfig(hidden_size=16, num_hidden_layers=1)
    config.is_causal = False
    with pytest.raises(BuildError, match="only works forward in time"):
        block(params, config, 0)


def test_half_precision_and_autocast_are_near():
    model, ids = network(), batch(left=(0, 0))["input_ids"]
    wanted = model(ids).logits
    with torch.autocast("cpu", torch.bfloat16):
        out = model(ids, labels=ids, use_cache=False)
    out.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    for found in (out.logits, model.bfloat16()(ids).logits):
        assert (found.float() - wanted).norm() <= 0.1 * wanted.norm()
