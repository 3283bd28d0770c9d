"""Checkpoints of each family, random and tiny: as blocks they are what transformers makes of them."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import json
import subprocess
import sys

import pytest
import torch
from dougong import BuildError, make
from dougong_network_pretrained.model import FAMILIES, export
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    logging,
)

torch.set_num_threads(1)
logging.set_verbosity_error()
VOCAB, PAD = 61, 0
SPECIAL = {"vocab_size": VOCAB, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**SPECIAL, **SIZES, "num_key_value_heads": 2, "max_position_embeddings": 64}
ROPE = {"rope_theta": 500.0, "original_max_position_embeddings": 16}
STRETCHED = {**ROPE, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_type": "llama3"}
PHI = {**ROPE, "rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.0, 4.0]}
QUIET = {"max_new_tokens": 12, "eos_token_id": None, "disable_compile": True}
CHECKPOINTS = {
    "gpt2": GPT2Config(**SPECIAL, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    "bert": BertConfig(**SPECIAL, **SIZES, max_position_embeddings=64),
    "llama": LlamaConfig(**GROUPED, rope_parameters=STRETCHED),
    "llama-yarn": LlamaConfig(**GROUPED, rope_parameters={**ROPE, "rope_type": "yarn", "factor": 4.0}),
    "llama-longrope": LlamaConfig(**GROUPED, rope_parameters=PHI),
    "llama-linear": LlamaConfig(
        **GROUPED, rope_parameters={"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}, tie_word_embeddings=True
    ),
    "llama-biases": LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True),
    "mistral": MistralConfig(**GROUPED, sliding_window=4),
    "qwen2": Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen3": Qwen3Config(**GROUPED, head_dim=16),
}
DECODERS = [name for name in CHECKPOINTS if name != "bert"]


def auto(name):
    return AutoModelForMaskedLM if name == "bert" else AutoModelForCausalLM


@pytest.fixture
def twins(tmp_path):
    """`twins(name)`: the checkpoint as blocks, and as transformers loads it; the folder is ``tmp_path/name``."""

    def both(name, implementation="sdpa"):
        torch.manual_seed(0)
        config = CHECKPOINTS[name]
        model = auto(name).from_config(config)
        for parameter in model.parameters():  # biases start at 0, norms at 1
            if parameter.ndim == 1:
                parameter.data += 0.3 * torch.randn_like(parameter)
        model.tie_weights()
        model.save_pretrained(tmp_path / name)
        theirs = auto(name).from_pretrained(tmp_path / name, attn_implementation=implementation).eval()
        ours = make("network.pretrained", path=tmp_path / name).build().eval()
        ours.set_attn_implementation(implementation)
        return ours, theirs

    return both


def batch(padded=True, positions=True):
    torch.manual_seed(1)
    ids, mask = torch.randint(3, VOCAB, (3, 12)), torch.ones(3, 12, dtype=torch.long)
    for row, pads in enumerate((4, 0, 7) if padded else ()):
        ids[row, :pads], mask[row, :pads] = PAD, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    return inputs | {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if positions else inputs


def real(tensor, inputs):
    """What stands at tokens; at padding the implementations may put anything."""
    return tensor[inputs["attention_mask"].bool()]


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_logits_equal_transformers_to_a_millionth(twins, name, implementation):
    ours, theirs = twins(name, implementation)
    assert type(ours).__module__.startswith("dougong")
    for inputs in (batch(False), batch(), batch(positions=False)):
        with torch.no_grad():
            got, want = real(ours(**inputs).logits, inputs), real(theirs(**inputs).logits, inputs)
        assert want.std() > 0.3
        close(got, want)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "qwen2", "qwen3"])
def test_a_step_of_descent_leads_to_the_same_weights_under_the_same_names(twins, name, implementation, tmp_path):
    """Loss and every gradient, compared in the files that both sides write."""
    models, inputs = twins(name, implementation), batch()
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    losses = []
    for side, model in zip(("ours", "theirs"), models):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        torch.optim.SGD(model.parameters(), 0.1).step()
        assert any(not torch.equal(before[key], value) for key, value in model.state_dict().items())
        losses.append(loss)
        model.save_pretrained(tmp_path / side)
    close(*losses)
    files = [load_file(tmp_path / side / "model.safetensors") for side in ("ours", "theirs")]
    assert files[0].keys() == files[1].keys()
    for key, value in files[0].items():
        close(value, files[1][key])


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_saved_it_has_the_checkpoints_key_names_and_bytes_and_loads_again(twins, name, tmp_path):
    ours, theirs = twins(name)
    ours.save_pretrained(tmp_path / "saved")
    files = [load_file(tmp_path / side / "model.safetensors") for side in (name, "saved")]
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(files[0][key], files[1][key]) for key in files[0])
    assert not list((tmp_path / "saved").glob("*.bin"))
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["blocks"]["layer"]["use"] == "block.transformer"

    again, found = auto(name).from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not any(found.values()), found
    through_technique = make("network.pretrained", path=tmp_path / "saved").build()
    for model in (again, through_technique):
        assert type(model) is type(ours)
        assert torch.equal(model.eval()(**batch()).logits, ours(**batch()).logits)

    export(ours, tmp_path / "exported")
    plain = auto(name).from_pretrained(tmp_path / "exported").eval()
    assert type(plain) is type(theirs)
    assert torch.equal(plain(**batch()).logits, theirs(**batch()).logits)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "qwen2", "qwen3"])
def test_generate_gives_the_same_tokens(twins, name, implementation):
    ours, theirs = twins(name, implementation)
    inputs = batch(positions=False)
    for settings in ({}, {"num_beams": 3}, {"do_sample": True, "temperature": 1.5}, {"cache_implementation": "static"}):
        tokens = []
        for model in (ours, theirs):
            torch.manual_seed(7)
            tokens.append(model.generate(**inputs, **QUIET | {"do_sample": False} | settings))
        assert torch.equal(*tokens), settings
        assert len(set(tokens[0][0, 12:].tolist())) > 3


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "qwen3"])
def test_peft_adapts_it_and_the_adapter_reloads(twins, name, tmp_path):
    peft = pytest.importorskip("peft")
    ours, _ = twins(name)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(ours, settings).eval()
    want = adapted(**batch()).logits
    adapted.save_pretrained(tmp_path / "adapter")
    base = make("network.pretrained", path=tmp_path / name).build()
    assert (base.eval()(**batch()).logits - want).abs().max() > 1e-2
    again = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    close(again(**batch()).logits, want)


@pytest.mark.parametrize("name", ["gpt2", "bert", "qwen3"])
def test_the_trainer_trains_it_and_its_checkpoints_keep_the_names(twins, name, tmp_path):
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    ours, _ = twins(name)
    rows = [{"input_ids": row, "labels": row} for row in batch(False)["input_ids"].repeat(3, 1)]
    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "logging_strategy": "no", "save_steps": 2}
    settings = TrainingArguments(tmp_path / "run", max_steps=2, learning_rate=1e-2, **quiet)
    Trainer(ours, settings, train_dataset=rows).train()
    saved = load_file(tmp_path / "run" / "checkpoint-2" / "model.safetensors")
    assert saved.keys() == load_file(tmp_path / name / "model.safetensors").keys()
    again = auto(name).from_pretrained(tmp_path / "run" / "checkpoint-2").eval()
    assert torch.equal(again(**batch()).logits, ours.eval()(**batch()).logits)


# ---------------------------------------------------------------- files as they are found


def test_gpt2s_first_files_without_a_prefix_and_with_masks_are_read(twins, tmp_path):
    ours, _ = twins("gpt2")
    file = tmp_path / "gpt2" / "model.safetensors"
    old = {key.removeprefix("transformer."): value for key, value in load_file(file).items()}
    old |= {f"h.{i}.attn.bias": torch.ones(1, 1, 64, 64).tril() for i in range(2)}
    save_file(old, file, {"format": "pt"})
    again = make("network.pretrained", path=tmp_path / "gpt2").build().eval()
    assert torch.equal(again(**batch()).logits, ours(**batch()).logits)


def test_berts_pooler_is_kept_where_the_checkpoint_has_one(tmp_path):
    from transformers import AutoModel, BertForPreTraining

    torch.manual_seed(0)
    theirs = BertForPreTraining(CHECKPOINTS["bert"]).eval()
    theirs.save_pretrained(tmp_path / "bert")
    ours = make("network.pretrained", path=tmp_path / "bert").build().eval()
    close(ours(**batch()).logits, theirs(**batch()).prediction_logits)
    close(ours.model(**batch()).pooler_output, theirs.bert(**batch()).pooler_output)
    types = torch.tensor([[0] * 5 + [1] * 7]).expand(3, -1)
    got, want = (model(**batch(), token_type_ids=types) for model in (ours, theirs))
    close(got.logits, want.prediction_logits)
    ours.save_pretrained(tmp_path / "saved")
    body = AutoModel.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(body(**batch()).pooler_output, ours.model(**batch()).pooler_output)


def test_weights_can_be_loaded_in_half_precision(twins, tmp_path):
    twins("llama")
    half = make("network.pretrained", path=tmp_path / "llama", dtype="bfloat16").build()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_through_auto_gives_transformers_own_model(twins, tmp_path):
    _, theirs = twins("qwen3")
    plain = make("network.pretrained", path=tmp_path / "qwen3", through="auto").build().eval()
    assert type(plain) is type(theirs)
    assert torch.equal(plain(**batch()).logits, theirs(**batch()).logits)


# ---------------------------------------------------------------- errors


def broken(tmp_path, **changes):
    file = tmp_path / "llama" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_cannot_be_read_says_why_and_what_to_do(twins, tmp_path):
    def build(folder="llama"):
        return make("network.pretrained", path=tmp_path / folder).build()

    with pytest.raises(BuildError, match=r"holds no config\.json; name the folder"):
        build("nowhere")
    twins("llama")
    file = tmp_path / "llama" / "model.safetensors"
    whole, weights = file.read_bytes(), load_file(file)
    file.unlink()
    with pytest.raises(BuildError, match=r"holds no safetensors.*pickled weights are not read"):
        build()
    file.write_bytes(whole[:100])
    with pytest.raises(BuildError, match="is the checkpoint complete"):
        build()
    less = {key: value for key, value in weights.items() if "layers.1.mlp.up_proj" not in key}
    save_file(less, file, {"format": "pt"})
    with pytest.raises(BuildError, match=r"missing keys: model\.layers\.1\.mlp\.up_proj\.weight"):
        build()
    save_file(weights | {"model.layers.0.extra": torch.ones(3)}, file, {"format": "pt"})
    with pytest.raises(BuildError, match=r"unexpected keys: model\.layers\.0\.extra"):
        build()


def test_families_without_a_map_and_options_without_a_block_are_refused(twins, tmp_path):
    twins("gpt2")
    file = tmp_path / "gpt2" / "config.json"
    text = json.loads(file.read_text())
    file.write_text(json.dumps(text | {"scale_attn_by_inverse_layer_idx": True}))
    with pytest.raises(
        BuildError, match=r"no scale_attn_by_inverse_layer_idx, which this gpt2 uses; set through: auto"
    ):
        make("network.pretrained", path=tmp_path / "gpt2").build()
    file.write_text(json.dumps({"model_type": "opt", "vocab_size": VOCAB}))
    with pytest.raises(BuildError, match=r"no map for checkpoints of 'opt'; there is one of bert, .*through: auto"):
        make("network.pretrained", path=tmp_path / "gpt2").build()


def test_a_network_of_no_family_has_no_original_form(tmp_path):
    layer = {"use": "transformer", "attention": {"use": "attention", "heads": 2}, "ffn": {"use": "ffn", "inner": 8}}
    with pytest.raises(BuildError, match="of no family; save_pretrained"):
        export(make("network.decoder", vocab=8, width=8, layers=1, layer=layer).build(), tmp_path)


def test_every_map_names_parts_that_its_network_has():
    for name, family in FAMILIES.items():
        assert family.NETWORK.startswith("network.")
        assert AutoConfig.for_model(f"dougong_{name}").model_type == f"dougong_{name}"


def test_params_import_no_torch():
    code = "import sys, dougong_network_pretrained as p; p.dougong_networks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
