"""RWKV-7 against values of its authors' NumPy program, and the properties of a network of it."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import pytest
import torch
from dougong import make
from transformers import AutoModelForCausalLM, DynamicCache

torch.set_num_threads(1)
VOCAB, WIDTH = 11, 8
GREEDY = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "disable_compile": True}

# Made once by rwkv_v7_numpy.py of https://github.com/BlinkDL/RWKV-LM (time_mixing,
# channel_mixing, RWKV7; in float64) for the weights of `filled` below: logits after each of TOKENS.
TOKENS = [3, 1, 4, 1, 5, 9, 2]
LOGITS = [
    [-0.263157655, 1.29488859, 1.58835698, 0.330648624, -1.24996854, -1.60987641,
     -0.397591832, 1.20297775, 1.62872887, 0.463876378, -1.15399408],
    [-1.58484063, -0.502524593, 1.07055295, 1.59813703, 0.564993247, -1.01991843,
     -1.60878591, -0.626525919, 0.967594282, 1.61676963, 0.68702067],
    [-2.00092576, -1.20079798, 0.772019521, 1.99088892, 1.2654721, -0.695794671,
     -1.97755392, -1.3280498, 0.618417149, 1.96094285, 1.38842742],
    [-0.0583952056, -0.0277340048, 0.0300120036, 0.058448529, 0.0298046877, -0.0279461737,
     -0.0584050249, -0.0318259952, 0.0258340473, 0.0582647655, 0.0337945789],
    [0.204645316, 1.79801132, 1.63545382, -0.124274816, -1.76263766, -1.67962264,
     0.0436984392, 1.72434397, 1.72100895, 0.03695033, -1.68319369],
    [-1.73754808, -0.686916835, 1.03455191, 1.74568552, 0.751996591, -0.976086204,
     -1.75093101, -0.815830569, 0.916003488, 1.75327585, 0.878313019],
    [-1.05719176, 0.318132534, 1.38277114, 1.09700649, -0.260085936, -1.36318051,
     -1.13500389, 0.201608474, 1.34133161, 1.171121, -0.142797021],
]  # fmt: skip


def network(layers=2, **mixer):
    torch.manual_seed(0)
    mixer = {"use": "rwkv7", "head_size": 4, "w_rank": 3, "a_rank": 2, "v_rank": 2, "g_rank": 5} | mixer
    norm = {"use": "layernorm"}
    layer = {"use": "transformer", "attention": mixer, "ffn": {"use": "rwkv7-channel", "inner": 12}, "norm": norm}
    sizes = {"vocab": VOCAB, "width": WIDTH, "layers": layers, "pad": 0, "bos": 1, "eos": 2}
    model = make("network.decoder", **sizes, layer=layer, embed_norm=norm, norm=norm, initializer_range=0.3).build()
    for parameter in model.parameters():  # past the authors' start, where much is zero
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return model.eval()


def filled(model):
    """Weights that need no random numbers: tensor number j is c + s sin(1 + j + 1.7 i) over its entries i."""
    count = 0

    def fill(tensor, center=0.0, scale=0.5):
        nonlocal count
        count += 1
        values = center + scale * torch.sin(1 + count + 1.7 * torch.arange(tensor.numel(), dtype=torch.float64))
        tensor.data = values.reshape(tensor.shape)

    def fill_norm(norm):
        fill(norm.weight, 1, 0.3)
        fill(norm.bias)

    fill(model.model.embed_tokens.weight, 0, 1)
    fill_norm(model.model.embed_norm)
    for layer in model.model.layers:
        fill_norm(layer.input_layernorm)
        mixer = layer.self_attn
        for name in "rwkvag":
            fill(getattr(mixer, f"x_{name}"), 0.5, 0.4)
        fill(mixer.w0)
        fill(mixer.r_k)
        for name in "wag":
            fill(getattr(mixer, f"{name}1"))
            fill(getattr(mixer, f"{name}2"))
        fill(mixer.a0)
        if mixer.layer_idx:
            for name in ("v1", "v2", "v0"):
                fill(getattr(mixer, name))
        else:
            count += 3
        fill(mixer.k_k, 0.7, 0.2)
        fill(mixer.k_a, 1, 0.2)
        for name in ("receptance", "key", "value", "output"):
            fill(getattr(mixer, name).weight)
        fill_norm(mixer.ln_x)
        fill_norm(layer.post_attention_layernorm)
        fill(layer.mlp.x_k, 0.5, 0.4)
        fill(layer.mlp.key.weight)
        fill(layer.mlp.value.weight)
    fill_norm(model.model.norm)
    fill(model.lm_head.weight)
    return model.double()


def batch(left=(3, 0, 1), length=9):
    ids = torch.randint(3, VOCAB, (len(left), length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    for row, pads in enumerate(left):
        ids[row, :pads], mask[row, :pads] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


def greedy(model, inputs, **settings):
    return model.generate(**inputs, **GREEDY | settings)[:, inputs["input_ids"].shape[1] :]


def test_logits_are_those_of_the_authors():
    """Whole, and a token at a time."""
    model, ids, wanted = filled(network()), torch.tensor([TOKENS]), torch.tensor(LOGITS, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits[0], wanted, rtol=0, atol=1e-8)
        past = None
        for at, logits in enumerate(wanted):
            out = model(ids[:, at : at + 1], past_key_values=past, use_cache=True)
            past = out.past_key_values
            torch.testing.assert_close(out.logits[0, 0], logits, rtol=0, atol=1e-8)
        in_float32 = model.float()(ids).logits[0].double()
    assert (in_float32 - wanted).abs().max() <= 1e-5


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_decoding_gives_the_same_tokens_with_a_cache_and_without_one(settings):
    model, inputs = network(), batch(length=19)
    found = greedy(model, inputs, **settings)
    assert torch.equal(found, greedy(model, inputs, use_cache=False, **settings))
    alone = {"input_ids": inputs["input_ids"][:1, 3:]}
    assert torch.equal(found[:1], greedy(model, alone, **settings)), "padding moves the state"


def test_layers_after_the_first_mix_in_its_values():
    model, ids = network(), batch(left=(0,))["input_ids"]
    first, second = (layer.self_attn for layer in model.model.layers)
    assert not hasattr(first, "v0")
    before = model(ids).logits
    second.v0.data += 1.0
    assert (model(ids).logits - before).abs().max() > 1e-4


def test_a_first_mixer_that_is_not_in_the_first_layer_mixes_in_its_own():
    norm = {"use": "layernorm"}
    turn = {"use": "cycle", "of": [{"use": "attention", "heads": 2}, {"use": "rwkv7", "head_size": 4}]}
    layer = {"use": "transformer", "attention": turn, "ffn": {"use": "rwkv7-channel"}, "norm": norm}
    torch.manual_seed(0)
    model = make("network.decoder", vocab=VOCAB, width=WIDTH, layers=4, layer=layer, pad=0).build().eval()
    inputs = batch()
    assert model.config.layer_types == ["hybrid", "linear_attention"] * 2
    before = model(**inputs).logits
    model.model.layers[1].self_attn.v0.data += 1.0
    assert torch.equal(model(**inputs).logits, before)
    assert torch.equal(greedy(model, inputs), greedy(model, inputs, use_cache=False))


def test_checkpointing_changes_no_gradient():
    """Though values of the first layer reach the second outside of what is recomputed."""
    model, ids, found = network(layers=3).train(), batch(left=(0, 0))["input_ids"], []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.zero_grad()
        model(ids, labels=ids, use_cache=False).loss.backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name, plain in found[0].items():
        torch.testing.assert_close(found[1][name], plain, msg=name)


def test_the_state_does_not_grow_and_is_in_float32():
    model, sizes = network().bfloat16(), []
    for length in (2, 40):
        past = DynamicCache(config=model.config)
        with torch.no_grad():
            model(batch(left=(0,), length=length)["input_ids"], past_key_values=past, use_cache=True)
        layer = past.layers[1]
        assert layer.recurrent_states[0].dtype == torch.float32
        sizes.append([layer.conv_states[index].numel() for index in (0, 1)] + [layer.recurrent_states[0].numel()])
    assert sizes == [[WIDTH, WIDTH, WIDTH * 4]] * 2


def test_saved_and_loaded_it_computes_the_same(tmp_path):
    model = network()
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)


def test_fresh_weights_start_as_the_authors_start():
    """Low-rank networks begin at zero, so that decay and learning rate begin as constants by channel."""
    build = make("network.decoder", vocab=VOCAB, width=64, layers=2, layer={"use": "transformer",
                 "attention": {"use": "rwkv7", "head_size": 32}, "ffn": {"use": "rwkv7-channel"}}).build()  # fmt: skip
    mixer = build.model.layers[1].self_attn
    assert all(getattr(mixer, f"{name}1").abs().max() == 0 for name in "wavg")
    assert [getattr(mixer, f"{name}1").shape[1] for name in "wavg"] == [32, 32, 32, 32]
    gram = mixer.w2 @ mixer.w2.T
    torch.testing.assert_close(gram, 0.01 * torch.eye(32), atol=1e-6, rtol=0)
    i = torch.arange(64)
    z = (i % 32 - 15.5) / 15.5
    torch.testing.assert_close(mixer.w0[0, 0], -6 + 6 * (i / 63) ** 2 + 0.5 + 2.5 * z * z.abs(), atol=1e-5, rtol=0)
    torch.testing.assert_close(mixer.x_w[0, 0], 1 - (i / 64) ** 0.45)
    assert mixer.r_k.eq(-0.04).all()


def test_half_precision_and_autocast_are_near():
    model, ids = network(), batch(left=(0, 0))["input_ids"]
    wanted = model(ids).logits
    with torch.autocast("cpu", torch.bfloat16):
        out = model(ids, labels=ids, use_cache=False)
    out.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    for found in (out.logits, model.bfloat16()(ids).logits):
        assert (found.float() - wanted).norm() <= 0.1 * wanted.norm()
