"""Checkpoints of each family, random and tiny: as blocks they are what transformers makes of them."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import inspect
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
    MambaConfig,
    MistralConfig,
    MixtralConfig,
    Qwen2Config,
    Qwen3Config,
    RwkvConfig,
    logging,
)

torch.set_num_threads(1)
logging.set_verbosity_error()
VOCAB, PAD = 61, 0
SPECIAL = {"vocab_size": VOCAB, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**SPECIAL, **SIZES, "num_key_value_heads": 2, "max_position_embeddings": 64}
FEW = {**SPECIAL, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.1}
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
    "mixtral": MixtralConfig(**GROUPED | {"initializer_range": 0.15}, num_local_experts=3, sliding_window=4),
    "qwen2": Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen3": Qwen3Config(**GROUPED, head_dim=16),
    "mamba": MambaConfig(**FEW, state_size=5, layer_norm_epsilon=1e-4, tie_word_embeddings=False),
    "mamba-biases": MambaConfig(**FEW, conv_kernel=3, expand=1, time_step_rank=4, use_bias=True, use_conv_bias=False),
    "rwkv": RwkvConfig(**FEW, intermediate_size=40, context_length=64, layer_norm_epsilon=1e-4),
}
RECURRENT = ("mamba", "rwkv")


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
            elif name.startswith("rwkv"):  # many of its maps start at 0, or near
                parameter.data += 0.08 * torch.randn_like(parameter)
        model.tie_weights()
        model.save_pretrained(tmp_path / name)
        its = "eager" if name.startswith(RECURRENT) else implementation  # they have no other
        theirs = auto(name).from_pretrained(tmp_path / name, attn_implementation=its).eval()
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


def logits_of(theirs, inputs):
    """At tokens. transformers' RWKV knows no mask: its rows go alone, without padding."""
    if "Rwkv" not in type(theirs).__name__:
        return real(theirs(**inputs).logits, inputs)
    rows = zip(inputs["input_ids"], inputs["attention_mask"].bool())
    return torch.cat([theirs(row[mask][None]).logits[0] for row, mask in rows])


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_logits_equal_transformers_to_a_millionth(twins, name, implementation):
    ours, theirs = twins(name, implementation)
    assert type(ours).__module__.startswith("dougong")
    for inputs in (batch(False), batch(), batch(positions=False)):
        with torch.no_grad():
            got, want = real(ours(**inputs).logits, inputs), logits_of(theirs, inputs)
        assert want.std() > 0.3
        close(got, want)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if not name.startswith("llama-")])
def test_a_step_of_descent_leads_to_the_same_weights_under_the_same_names(twins, name, implementation, tmp_path):
    """Loss and every gradient, compared in the files that both sides write."""
    models, inputs = twins(name, implementation), batch(padded=name != "rwkv")
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    labels[:, 1:].masked_fill_(inputs["attention_mask"][:, :-1] == 0, -100)  # what padding says is anyone's
    losses = []
    for side, model in zip(("ours", "theirs"), models):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        loss = model(**inputs, labels=labels, use_cache=False).loss  # their Mamba's cache stops gradients
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
    assert config["blocks"]["layer"]["use"] in ("block.transformer", "block.mamba-layer")

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
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "qwen2", "qwen3", "mixtral", "mamba"])
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


def test_rwkv_generates_the_tokens_of_transformers_without_its_state_which_mixes_rows_up(twins):
    ours, theirs = twins("rwkv")
    ids = batch(False)["input_ids"]
    for settings in ({}, {"do_sample": True, "temperature": 1.5}):
        tokens = []
        for model, use_cache in ((ours, True), (ours, False), (theirs, False)):
            torch.manual_seed(7)
            tokens.append(model.generate(ids, **QUIET | {"do_sample": False, "use_cache": use_cache} | settings))
        assert torch.equal(tokens[0], tokens[1]), settings
        assert torch.equal(tokens[0], tokens[2]), settings
        assert len(set(tokens[0][0, 12:].tolist())) > 3
    padded, beams = batch(positions=False), QUIET | {"num_beams": 3, "do_sample": False}
    together = ours.generate(**padded, **beams)
    assert torch.equal(together, ours.generate(**padded, **beams, use_cache=False))
    for row, mask, continued in zip(padded["input_ids"], padded["attention_mask"].bool(), together):
        alone = theirs.generate(row[mask][None], **beams, use_cache=False)
        assert torch.equal(continued[12:], alone[0, -12:])


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "qwen3", "mixtral", "mamba", "rwkv"])
def test_peft_adapts_it_and_the_adapter_reloads(twins, name, tmp_path):
    peft = pytest.importorskip("peft")
    ours, _ = twins(name)
    parts = {"mamba": ["in_proj", "x_proj"], "rwkv": ["key", "value"]}.get(name, ["q_proj", "v_proj"])
    settings = peft.LoraConfig(r=4, target_modules=parts, init_lora_weights=False)
    adapted = peft.get_peft_model(ours, settings).eval()
    want = adapted(**batch()).logits
    adapted.save_pretrained(tmp_path / "adapter")
    base = make("network.pretrained", path=tmp_path / name).build()
    assert (base.eval()(**batch()).logits - want).abs().max() > 1e-2
    again = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    close(again(**batch()).logits, want)


@pytest.mark.parametrize("name", ["gpt2", "bert", "qwen3", "mixtral", "mamba", "rwkv"])
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


def test_mixtrals_balancing_loss_counts_in_training_where_the_checkpoint_wants_it(tmp_path):
    """Of one layer it is transformers' loss; of more, the mean of the layers' losses."""
    torch.manual_seed(0)
    config = MixtralConfig(**GROUPED | {"num_hidden_layers": 1}, num_local_experts=4, router_aux_loss_coef=0.5)
    for wanted in (True, False):
        config.output_router_logits = wanted
        theirs = AutoModelForCausalLM.from_config(config).train()
        theirs.save_pretrained(tmp_path)
        ours, ids = make("network.pretrained", path=tmp_path).build().train(), batch(False)["input_ids"]
        got, want = ours(ids, labels=ids, use_cache=False), theirs(ids, labels=ids, use_cache=False)
        torch.testing.assert_close(got.loss, want.loss)
        plain = ours.eval()(ids, labels=ids, use_cache=False).loss
        assert (got.loss - plain > 0.4) == wanted


def test_a_deep_rwkv_is_theirs_but_for_the_halving_in_evaluation(tmp_path):
    """Every six layers transformers halves the states, for float16; the norms' epsilons feel it. Training has none."""
    torch.manual_seed(0)
    config = RwkvConfig(**FEW | {"num_hidden_layers": 7}, context_length=64)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path)
    ours = make("network.pretrained", path=tmp_path).build().eval()
    ids = batch(False)["input_ids"]
    apart = {}
    for every in (0, 6):
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path, rescale_every=every).eval()
        with torch.no_grad():
            want = theirs(ids).logits
            apart[every] = ((ours(ids).logits - want).abs().max() / want.abs().max()).item()
    assert apart[0] <= 1e-6
    assert apart[6] <= 1e-4


def test_weights_can_be_loaded_in_half_precision(twins, tmp_path):
    twins("llama")
    half = make("network.pretrained", path=tmp_path / "llama", dtype="bfloat16").build()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_saved_as_blocks_it_is_loaded_in_a_process_that_knows_no_dougong(twins, tmp_path):
    """With trust_remote_code; and the experts have the interface that vLLM's backend replaces."""
    ours, _ = twins("mixtral")
    assert list(inspect.signature(ours.model.layers[0].mlp.experts.forward).parameters) == [
        "hidden_states", "top_k_index", "top_k_weights",
    ]  # fmt: skip
    ours.save_pretrained(tmp_path / "saved")
    export(ours, tmp_path / "exported")
    assert not list((tmp_path / "exported").glob("*.py"))
    code = """if True:
        import sys, torch
        from transformers import AutoModelForCausalLM
        torch.set_num_threads(1)  # others add in another order
        model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
        assert type(model).__module__ == "dougong_network_pretrained.model", type(model)
        torch.save(model(torch.arange(3, 9)[None]).logits.detach(), sys.argv[1] + ".logits")
    """
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", code, str(tmp_path / "saved")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logits = torch.load(tmp_path / "saved.logits", weights_only=True)
    close(logits, ours(torch.arange(3, 9)[None]).logits)


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
