"""What a block may rely on (README): each promise, held by a block that needs it."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import copy

import pytest
import torch
from dougong import BuildError, make
from dougong_network_decoder import Params
from dougong_network_decoder.model import DecoderConfig, DecoderForCausalLM
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer

torch.set_num_threads(1)
VOCAB, WIDTH = 37, 16
SIZES = {"vocab": VOCAB, "width": WIDTH, "max_positions": 64, "pad": 0, "bos": 1, "eos": 2}


def network(monkeypatch, layer, layers=2, **fields):
    """A decoder whose layers are made by the function `layer`, seeded, in evaluation mode."""
    params = Params(**SIZES, layers=layers, layer=layer, norm=None)
    monkeypatch.setattr(DecoderConfig, "builders", lambda self: params)
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCAB, "hidden_size": WIDTH, "num_hidden_layers": layers, "pad_token_id": 0}
    return DecoderForCausalLM(DecoderConfig(**sizes | {"initializer_range": 0.3} | fields)).eval()


def decoder(layer, layers=2):
    torch.manual_seed(0)
    return make("network.decoder", **SIZES, layers=layers, layer=layer, initializer_range=0.3).build().eval()


def layer(**attention):
    attention = {"use": "attention", "heads": 4, "kv_heads": 2, **attention}
    return {"use": "transformer", "attention": attention, "ffn": {"use": "ffn", "inner": 24}}


def batch(left=(3, 0), length=9):
    ids = torch.randint(3, VOCAB, (len(left), length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    for row, pads in enumerate(left):
        ids[row, :pads], mask[row, :pads] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


def greedy(model, inputs, count=8, **settings):
    quiet = {"max_new_tokens": count, "do_sample": False, "eos_token_id": None, "disable_compile": True}
    return model.generate(**inputs, **quiet | settings)[:, inputs["input_ids"].shape[1] :]


# ---------------------------------------------------------------- keywords


class Spy(GradientCheckpointingLayer):
    def __init__(self, config, layer_idx, seen):
        super().__init__()
        self.config, self.seen, self.layer_idx = config, seen, layer_idx

    def forward(self, hidden, **kwargs):
        self.seen.append(kwargs)
        return hidden


def test_every_keyword_of_the_table_is_there_and_what_the_caller_adds(monkeypatch):
    seen = []
    model = network(monkeypatch, lambda config, index: Spy(config, index, seen))
    assert model.model.layers[0].config.is_causal
    model(**batch(), of_the_caller=7)
    names = {"attention_mask", "padding_mask", "position_ids", "past_key_values", "use_cache", "shared"}
    assert names <= seen[0].keys()
    assert seen[0]["of_the_caller"] == 7
    assert torch.equal(seen[0]["position_ids"], torch.arange(9)[None])
    assert torch.equal(seen[0]["padding_mask"], batch()["attention_mask"])
    assert seen[0]["shared"] is seen[1]["shared"]
    model(**batch(left=(0, 0)))
    assert seen[2]["padding_mask"] is None
    assert seen[2]["shared"] is not seen[0]["shared"], "it lives for one forward"


def test_cosines_are_computed_once_a_step_for_layers_that_rotate_alike():
    model = decoder(layer(), layers=3)
    calls = []
    for each in model.model.layers:
        each.self_attn.rotary_emb.register_forward_hook(lambda *_: calls.append(1))
    model(**batch())
    assert len(calls) == 1
    two = decoder({"use": "cycle", "of": [layer(), layer(rope_theta=500.0)]}, layers=4)
    for each in two.model.layers:
        each.self_attn.rotary_emb.register_forward_hook(lambda *_: calls.append(1))
    two(**batch())
    assert len(calls) == 3


# ---------------------------------------------------------------- recurrent blocks


class Fading(torch.nn.Module):
    """``s_t = s_{t-1} / 2 + x_t``: the smallest recurrent mixer."""

    layer_type = "linear_attention"

    def __init__(self, layer_idx, state_idx=0):
        super().__init__()
        self.layer_idx, self.state_idx = layer_idx, state_idx
        self.weight = torch.nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, hidden, *, padding_mask=None, past_key_values=None, **_):
        x = self.weight(hidden)
        if padding_mask is not None:
            x = x * padding_mask[..., None]
        state = torch.zeros_like(x[:, 0])
        if past_key_values is not None:
            before = past_key_values.layers[self.layer_idx].recurrent_states[self.state_idx]
            state = state if before is None else before.clone()
        states = []
        for step in x.unbind(1):
            state = state / 2 + step
            states.append(state)
        if past_key_values is not None:
            past_key_values.update_recurrent_state(state, self.layer_idx, state_idx=self.state_idx)
        return torch.stack(states, 1)


class Recurrent(GradientCheckpointingLayer):
    def __init__(self, config, layer_idx, states=1):
        super().__init__()
        self.mixers = torch.nn.ModuleList(Fading(layer_idx, index) for index in range(states))

    def forward(self, hidden, **kwargs):
        for mixer in self.mixers:
            hidden = hidden + mixer(hidden, **kwargs).tanh()
        return hidden


@pytest.mark.parametrize("states", [1, 2])
def test_a_purely_recurrent_network_generates_through_its_states(monkeypatch, states):
    """Left-padded, with beams, and token by token: as without a cache."""
    model = network(monkeypatch, lambda config, index: Recurrent(config, index, states))
    assert model.config.layer_types == ["hybrid", "linear_attention"], "the network counts tokens in the first"
    assert model.config.number_of_conv_states == states
    for settings in ({}, {"num_beams": 3}):
        with_cache, without = (greedy(model, batch(), use_cache=use, **settings) for use in (True, False))
        assert torch.equal(with_cache, without)
    alone = greedy(model, {"input_ids": batch()["input_ids"][:1, 3:]})
    assert torch.equal(alone[0], greedy(model, batch())[0]), "padding moves the state"
    past, ids = None, batch(left=(0, 0))["input_ids"]
    whole = model(ids, use_cache=False).logits
    for at in range(9):
        out = model(ids[:, at : at + 1], past_key_values=past, use_cache=True)
        past = out.past_key_values
        assert past.get_seq_length() == at + 1
        torch.testing.assert_close(out.logits[:, 0], whole[:, at], atol=1e-5, rtol=0)


class Both(GradientCheckpointingLayer):
    """Attention and a recurrent part in one layer."""

    def __init__(self, config, layer_idx, window=None):
        super().__init__()
        attention = {"use": "attention", "heads": 4, "window": window}
        self.attention = make("network.decoder", **SIZES, layers=1, layer=attention).params.layer(config, layer_idx)
        self.recurrent = Fading(layer_idx)

    def forward(self, hidden, **kwargs):
        return hidden + self.attention(hidden, **kwargs) + self.recurrent(hidden, **kwargs).tanh()


@pytest.mark.parametrize(
    ("window", "types"),
    [(None, ["hybrid", "linear_attention", "hybrid"]), (4, ["hybrid_sliding", "linear_attention", "hybrid_sliding"])],
)
def test_hybrids_keep_both_kinds_of_state(monkeypatch, window, types):
    model = network(monkeypatch, lambda c, i: Recurrent(c, i) if i % 2 else Both(c, i, window), layers=3)
    assert model.config.layer_types == types
    assert model.config.sliding_window == window
    for settings in ({}, {"num_beams": 2}):
        with_cache, without = (greedy(model, batch(), 12, use_cache=use, **settings) for use in (True, False))
        assert torch.equal(with_cache, without)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"cache_implementation": "static"}], ids=str)
def test_windows_and_full_attention_in_turn_each_get_their_mask_and_their_cache(implementation, settings):
    model = decoder({"use": "cycle", "of": [layer(window=4), layer()]}, layers=4)
    model.set_attn_implementation(implementation)
    assert model.config.layer_types == ["sliding_attention", "full_attention"] * 2
    assert model.config.sliding_window == 4
    beams = {name: value for name, value in settings.items() if name == "num_beams"}
    found = greedy(model, batch(), 12, **settings)
    assert torch.equal(found, greedy(model, batch(), 12, use_cache=False, **beams))
    if not settings:
        past = DynamicCache(config=model.config)
        model(batch(left=(0, 0))["input_ids"], past_key_values=past, use_cache=True)
        assert [layer.keys.shape[2] for layer in past.layers] == [3, 9, 3, 9], "a window keeps what it will see"


def test_a_window_sees_that_many_tokens_and_no_more():
    model = decoder(layer(window=4), layers=1)
    ids = batch(left=(0,))["input_ids"]
    other = ids.clone()
    other[0, 2] = (other[0, 2] + 1) % VOCAB
    moved = (model(ids).logits - model(other).logits).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [2, 3, 4, 5]


def test_types_of_layers_survive_saving_and_another_number_of_layers(tmp_path):
    model = decoder({"use": "cycle", "of": [layer(window=4), layer()]}, layers=4)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert again.config.layer_types == model.config.layer_types
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)
    less = AutoModelForCausalLM.from_pretrained(tmp_path, num_hidden_layers=3)
    assert less.config.layer_types == ["sliding_attention", "full_attention", "sliding_attention"]


def test_two_windows_in_one_network_are_refused():
    with pytest.raises(BuildError, match=r"windows of \[4, 8\] tokens.*one window"):
        decoder({"use": "cycle", "of": [layer(window=4), layer(window=8)]})


def test_two_kinds_of_attention_in_one_layer_are_refused():
    both = layer(window=4) | {"ffn": {"use": "attention", "heads": 4}}
    with pytest.raises(BuildError, match=r"full_attention, sliding_attention.*block\.cycle"):
        decoder(both)


# ---------------------------------------------------------------- auxiliary losses


class Router(GradientCheckpointingLayer):
    """A layer that adds the mean square of its logits to the loss, of tokens that are no padding."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.gate, self.router_logits, self.loss = torch.nn.Linear(WIDTH, 3), torch.nn.Identity(), None

    def forward(self, hidden, *, padding_mask=None, **_):
        logits = self.router_logits(self.gate(hidden))
        real = torch.ones_like(hidden[..., 0]) if padding_mask is None else padding_mask
        self.loss = 0.5 * (logits.square().mean(-1) * real).sum() / real.sum()
        return hidden + logits.softmax(-1).sum(-1, keepdim=True)

    def auxiliary_loss(self):
        loss, self.loss = self.loss, None
        return loss


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_blocks_add_joins_the_loss_in_training_and_reaches_their_weights(monkeypatch, checkpointing):
    model = network(monkeypatch, Router)
    inputs = batch() | {"labels": batch()["input_ids"], "use_cache": False}
    evaluated = model(**inputs, output_router_logits=True)
    assert len(evaluated.router_logits) == 2
    real = inputs["attention_mask"].bool()
    wanted = sum(0.5 * logits[real].square().mean() for logits in evaluated.router_logits)
    torch.testing.assert_close(evaluated.aux_loss, wanted)
    if checkpointing:
        model.activation_checkpointing_enable()
    trained = model.train()(**inputs)
    torch.testing.assert_close(trained.loss, evaluated.loss + wanted)
    trained.aux_loss.backward(retain_graph=True)
    assert all(layer.gate.weight.grad.abs().max() > 0 for layer in model.model.layers)
    assert all(layer.loss is None for layer in model.model.layers) or checkpointing, "read, even where not asked for"
    model.eval()(**batch())
    copy.deepcopy(model)  # would fail on a tensor of the graph that a block still holds


def test_a_network_without_such_blocks_reports_none():
    assert decoder(layer())(**batch()).aux_loss is None


# ---------------------------------------------------------------- causality


def test_a_block_learns_from_the_config_whether_the_future_is_hidden():
    build = make("network.decoder", **SIZES, layers=1, layer=layer()).params.layer
    config = DecoderConfig(hidden_size=WIDTH, num_hidden_layers=1)
    assert build(config, 0).self_attn.is_causal
    config.is_causal = False
    assert not build(config, 0).self_attn.is_causal
