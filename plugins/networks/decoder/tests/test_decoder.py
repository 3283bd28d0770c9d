"""The assembled decoder against transformers' LlamaForCausalLM, and as a citizen of transformers."""

import json
import os
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import pytest
import torch
from dougong import BuildError, ConfigError, make
from dougong.assemble import origin
from dougong_network_decoder import Params
from dougong_network_decoder.model import DecoderConfig, DecoderForCausalLM, DecoderModel
from safetensors import safe_open
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModel,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    StaticCache,
)
from transformers.masking_utils import sdpa_mask
from transformers.modeling_layers import GradientCheckpointingLayer

torch.set_num_threads(1)
VOCAB, PAD, EOS = 61, 0, 2
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}


def tree(placement="pre", **attention):
    return {
        "use": "transformer",
        "attention": {"use": "attention", "heads": 4, "kv_heads": 2, "rope_theta": 500.0, **attention},
        "ffn": {"use": "ffn", "inner": 48},
        "norm": {"use": "rmsnorm", "eps": 1e-5},
        "placement": placement,
    }


def build(tie=False, **changes):
    settings = {
        "vocab": VOCAB,
        "width": 32,
        "layers": 2,
        "layer": tree(),
        "norm": {"use": "rmsnorm", "eps": 1e-5},
        "max_positions": 64,
        "tie_embeddings": tie,
        "pad": PAD,
        "bos": 1,
        "eos": EOS,
    }
    return make("network.decoder", **settings | changes).build()


def llama(tie=False, rope=None):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=tie,
        pad_token_id=PAD,
        bos_token_id=1,
        eos_token_id=EOS,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0, **(rope or {})},
        initializer_range=0.3,  # far enough from zero that every part shows in the logits
    )
    return LlamaForCausalLM(config).eval()


def twins(tie=False, implementation="sdpa"):
    theirs, ours = llama(tie), build(tie).eval()
    result = ours.load_state_dict(theirs.state_dict())
    assert not result.missing_keys
    assert not result.unexpected_keys
    for model in (ours, theirs):
        model.set_attn_implementation(implementation)
    return ours, theirs


def batch(padded=True):
    torch.manual_seed(1)
    ids, mask = torch.randint(3, VOCAB, (3, 12)), torch.ones(3, 12, dtype=torch.long)
    if padded:
        for row, length in enumerate((4, 0, 7)):
            ids[row, :length], mask[row, :length] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


# ---------------------------------------------------------------- parity


@pytest.mark.parametrize(
    "implementation", ["eager", "sdpa", pytest.param("flex_attention", marks=pytest.mark.slow)]
)  # flex_attention compiles its masks
@pytest.mark.parametrize("padded", [False, True], ids=["full", "left-padded"])
def test_logits_equal_llamas_to_a_millionth(implementation, padded):
    ours, theirs = twins(implementation=implementation)
    inputs = batch(padded)
    with torch.no_grad():
        got, want = ours(**inputs).logits, theirs(**inputs).logits
    assert want.std() > 0.5
    close(got, want)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("tie", [False, True], ids=["untied", "tied"])
def test_loss_and_every_gradient_equal_llamas(implementation, tie):
    ours, theirs = twins(tie, implementation)
    inputs = batch()
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    losses = [model.train()(**inputs, labels=labels).loss for model in (ours, theirs)]
    close(losses[0], losses[1])
    for loss in losses:
        loss.backward()
    reference = dict(theirs.named_parameters())
    assert reference.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        assert parameter.grad.abs().max() > 0, name
        close(parameter.grad, reference[name].grad)


def test_hidden_states_and_attention_weights_equal_llamas():
    ours, theirs = twins(implementation="eager")
    inputs = batch() | {"output_hidden_states": True, "output_attentions": True}
    got, want = ours(**inputs), theirs(**inputs)
    assert (len(got.hidden_states), len(got.attentions)) == (3, 2)
    for mine, other in zip(got.hidden_states + got.attentions, want.hidden_states + want.attentions, strict=True):
        close(mine, other)


def test_inputs_embeds_explicit_positions_and_few_logits_equal_llamas():
    ours, theirs = twins()
    embeds, where = torch.randn(2, 5, 32), torch.tensor([[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]])
    for keep in (1, 2, torch.tensor([0, 3])):
        arguments = {"inputs_embeds": embeds, "position_ids": where, "logits_to_keep": keep}
        got, want = ours(**arguments).logits, theirs(**arguments).logits
        assert got.shape == want.shape
        close(got, want)
    with pytest.raises(ValueError, match="exactly one"):
        ours(input_ids=torch.ones(1, 1, dtype=torch.long), inputs_embeds=embeds)
    with pytest.raises(ValueError, match="exactly one"):
        ours()


# ---------------------------------------------------------------- generation


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"num_beams": 3}, {"cache_implementation": "static"}, {"use_cache": False}],
    ids=["greedy", "beams", "static", "no-cache"],
)
def test_generate_gives_llamas_tokens_on_a_left_padded_batch(implementation, settings):
    ours, theirs = twins(implementation=implementation)
    settings = settings | {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None, "disable_compile": True}
    got, want = ours.generate(**batch(), **settings), theirs.generate(**batch(), **settings)
    assert got.shape == (3, 32)
    assert torch.equal(got, want)
    assert len(set(got[0, 12:].tolist())) > 3  # not one token over and over


def test_padding_does_not_change_what_a_row_generates():
    ours, _ = twins()
    inputs = batch()
    together = ours.generate(**inputs, max_new_tokens=10, do_sample=False, eos_token_id=None)
    for row, start in enumerate((4, 0, 7)):
        alone = ours.generate(inputs["input_ids"][row : row + 1, start:], max_new_tokens=10, eos_token_id=None)
        assert torch.equal(alone[0, -10:], together[row, -10:])


@pytest.mark.parametrize("static", [False, True])
def test_logits_through_a_cache_equal_those_without(static):
    ours, _ = twins()
    ids = batch(padded=False)["input_ids"]
    whole = ours(ids, use_cache=False)
    assert whole.past_key_values is None
    cache = StaticCache(config=ours.config, max_cache_len=12) if static else None
    steps = []
    for i in range(12):
        out = ours(ids[:, i : i + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        steps.append(out.logits)
    # One row at a time multiplies in another order than twelve: Llama itself differs by 7e-6 here.
    torch.testing.assert_close(torch.cat(steps, 1), whole.logits, atol=1e-5, rtol=0)


# ---------------------------------------------------------------- saving


def keys_of(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


@pytest.mark.parametrize("tie", [False, True], ids=["untied", "tied"])
def test_saves_under_llamas_key_names_and_either_side_loads_the_others_weights(tie, tmp_path):
    ours, theirs = twins(tie)
    ours.save_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    assert keys_of(tmp_path / "ours") == keys_of(tmp_path / "theirs")
    # Each folder's weights under the other's config.
    configs = [(tmp_path / side / "config.json").read_text() for side in ("theirs", "ours")]
    for side, config in zip(("ours", "theirs"), configs, strict=True):
        (tmp_path / side / "config.json").write_text(config)
    for side, kind in (("ours", LlamaForCausalLM), ("theirs", DecoderForCausalLM)):
        model, info = AutoModelForCausalLM.from_pretrained(tmp_path / side, output_loading_info=True)
        assert type(model) is kind
        assert not any(info.values()), info
        assert torch.equal(model(**batch()).logits, ours(**batch()).logits)


def test_auto_classes_rebuild_the_tree_from_config_json_alone(tmp_path):
    ours = build(layer=tree(rope_type="llama3", rope_factors=LLAMA3, bias="qkv", qk_norm={"use": "rmsnorm"})).eval()
    ours.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    layer = config["blocks"]["layer"]
    assert (layer["use"], layer["attention"]["use"]) == ("block.transformer", "block.attention")
    assert layer["attention"]["rope_factors"] == LLAMA3
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (4, 2, 8)

    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(**batch()).logits, ours(**batch()).logits)
    assert again.config.to_diff_dict() | {"dtype": None} == ours.config.to_diff_dict() | {"dtype": None}
    body = AutoModel.from_pretrained(tmp_path)
    assert type(body) is DecoderModel
    assert torch.equal(body(**batch()).last_hidden_state, ours.model(**batch()).last_hidden_state)

    again.save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_fresh_process_that_imports_the_plugin_loads_and_generates_the_same(tmp_path):
    ours, _ = twins()
    ours.save_pretrained(tmp_path)
    want = ours.generate(**batch(), max_new_tokens=8, do_sample=False, eos_token_id=None).tolist()
    code = (
        "import sys, json, torch, dougong_network_decoder.model; from transformers import AutoModelForCausalLM as A\n"
        "torch.set_num_threads(1); m = A.from_pretrained(sys.argv[1]); b = json.loads(sys.argv[2])\n"
        "b = {k: torch.tensor(v) for k, v in b.items()}\n"
        "print(m.generate(**b, max_new_tokens=8, do_sample=False, eos_token_id=None).tolist())"
    )
    inputs = json.dumps({name: value.tolist() for name, value in batch().items()})
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path), inputs], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == want


def test_sizes_live_in_the_config_once_so_that_resized_embeddings_reload(tmp_path):
    ours = build()
    ours.resize_token_embeddings(VOCAB + 3)
    ours.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.lm_head.weight.shape == (VOCAB + 3, 32)
    assert torch.equal(again(**batch()).logits, ours(**batch()).logits)
    assert len(AutoModelForCausalLM.from_pretrained(tmp_path, num_hidden_layers=1).model.layers) == 1


def test_half_precision_and_a_frequency_buffer_survive_loading(tmp_path):
    ours = build().eval()
    ours.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert again.lm_head.weight.dtype == torch.bfloat16
    frequencies = again.model.layers[1].self_attn.rotary_emb.inv_freq
    assert torch.equal(frequencies, ours.model.layers[1].self_attn.rotary_emb.inv_freq)
    assert frequencies.dtype == torch.float32
    torch.testing.assert_close(again(**batch()).logits.float(), ours(**batch()).logits, atol=0.05, rtol=0.05)


# ---------------------------------------------------------------- blocks


def test_every_layer_is_its_own_module_with_its_own_index():
    model = build(layers=3)
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == [0, 1, 2]
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    assert len(set(pointers)) == len(pointers) == 3 + 3 * 9
    network = make("network.decoder", vocab=8, width=8, layers=1, layer=tree())
    assert network.build().lm_head.weight.data_ptr() != network.build().lm_head.weight.data_ptr()


def test_post_placement_needs_no_norm_after_the_last_layer():
    model = build(layer=tree("post"), norm=None)
    assert "model.norm.weight" not in model.state_dict()
    hidden = model.model(**batch(padded=False)).last_hidden_state
    torch.testing.assert_close(hidden.pow(2).mean(-1), torch.ones(3, 12), atol=1e-2, rtol=0)
    assert model.config.blocks["norm"] is None


def test_fresh_weights_follow_the_initializer_range():
    model = build(width=64, initializer_range=0.1)
    assert model.model.layers[0].mlp.up_proj.weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(model.model.norm.weight, torch.ones(64))
    assert model.model.embed_tokens.weight[PAD].abs().max() == 0


def test_a_registered_attention_function_and_its_mask_replace_the_built_in_ones():
    calls = []

    def counted(module, *arguments, **kwargs):
        calls.append((module.layer_idx, arguments[3] is not None))
        return AttentionInterface._global_mapping["sdpa"](module, *arguments, **kwargs)

    AttentionInterface.register("counted", counted)
    AttentionMaskInterface.register("counted", sdpa_mask)
    ours, theirs = twins()
    ours.set_attn_implementation("counted")
    close(ours(**batch()).logits, theirs(**batch()).logits)
    assert calls == [(0, True), (1, True)]


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        ours, _ = twins()
        if checkpointing:
            ours.activation_checkpointing_enable()
        ours.train()(**batch(), labels=batch()["input_ids"], use_cache=False).loss.backward()
        gradients.append([parameter.grad for parameter in ours.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        close(checkpointed, plain)


class Decaying(GradientCheckpointingLayer):
    """A layer of another design: a parameter of its own, and a buffer that no checkpoint holds."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.decay = torch.nn.Parameter(torch.empty(config.hidden_size))
        self.register_buffer("steps", torch.empty(4), persistent=False)

    def init_block(self, std):
        torch.nn.init.uniform_(self.decay, std, 2 * std)
        torch.nn.init.constant_(self.steps, 3.0)

    def forward(self, hidden, **_):
        return hidden * self.decay * self.steps.sum()


def test_a_block_with_parameters_of_its_own_starts_by_its_own_rule_and_keeps_what_was_loaded(tmp_path, monkeypatch):
    sizes = {"vocab": VOCAB, "width": 32, "layers": 2}
    monkeypatch.setattr(DecoderConfig, "builders", lambda self: Params(**sizes, layer=Decaying, norm=None))
    model = DecoderForCausalLM(DecoderConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2))
    decay = model.model.layers[1].decay
    assert 0.02 <= decay.min() < decay.max() <= 0.04
    decay.data.normal_()
    model.save_pretrained(tmp_path)
    again = DecoderForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again.model.layers[1].decay, decay)
    assert torch.equal(again.model.layers[1].steps, torch.full((4,), 3.0))
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)


# ---------------------------------------------------------------- transformers' and peft's tools


def test_the_trainer_takes_llamas_steps_to_llamas_weights(tmp_path):
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    rows = [{"input_ids": row, "labels": row} for row in torch.randint(3, VOCAB, (16, 12))]
    models = twins()
    for name, model in zip(("ours", "theirs"), models, strict=True):
        arguments = TrainingArguments(
            tmp_path / name,
            max_steps=4,
            learning_rate=1e-2,
            save_steps=2,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
        )
        Trainer(model, arguments, train_dataset=rows).train()
    reference = models[1].state_dict()
    for key, weight in models[0].state_dict().items():
        close(weight, reference[key])
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "ours" / "checkpoint-4")
    close(saved(**batch()).logits, models[1].eval()(**batch()).logits)


def test_peft_adapts_saves_reloads_and_merges(tmp_path):
    peft = pytest.importorskip("peft")
    ours, _ = twins()
    before = ours(**batch()).logits
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = peft.get_peft_model(ours, settings).eval()
    want = adapted(**batch()).logits
    assert (want - before).abs().max() > 1e-2
    adapted.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(twins()[0], tmp_path).eval()
    close(again(**batch()).logits, want)
    torch.testing.assert_close(again.merge_and_unload()(**batch()).logits, want, atol=1e-4, rtol=0)


# ---------------------------------------------------------------- errors


def test_a_layer_made_by_hand_is_refused_because_it_could_not_be_rebuilt():
    network = make("network.decoder", vocab=8, width=8, layers=1, layer=lambda config, layer_idx: torch.nn.Identity())
    with pytest.raises(BuildError, match=r"layer: made by hand.*name a technique"):
        network.build()


def test_a_block_that_is_no_layer_is_refused():
    with pytest.raises(BuildError, match=r"FFN is no layer of a network; use block\.transformer"):
        build(layer={"use": "ffn", "inner": 8})


def test_heads_that_do_not_fit_the_width_name_their_place():
    with pytest.raises(BuildError, match=r"layer\.attention.*width 32 is not a multiple of 5 heads"):
        build(layer=tree(heads=5, kv_heads=1))


def test_a_config_without_blocks_says_how_to_get_one():
    with pytest.raises(BuildError, match=r"no blocks; make the model by network\.decoder"):
        DecoderForCausalLM(DecoderConfig(vocab_size=8, hidden_size=8))


def test_a_checkpoint_whose_block_is_not_installed_names_it(tmp_path):
    build().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["blocks"]["layer"]["ffn"]["use"] = "block.nowhere"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"nowhere"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize("token", [-1, 8])
def test_special_tokens_are_in_the_vocabulary(token):
    with pytest.raises(ValueError, match=r"below vocab \(8\)"):
        Params(vocab=8, width=8, layers=1, layer=None, eos=token)


def test_params_import_no_torch():
    code = "import sys, dougong_network_decoder as p; p.dougong_networks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_origin_of_a_builder_is_what_config_json_carries():
    network = make("network.decoder", vocab=8, width=8, layers=1, layer=tree())
    assert network.build().config.blocks["layer"] == origin(network.params.layer).params
