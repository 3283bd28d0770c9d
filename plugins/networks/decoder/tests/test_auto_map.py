"""A saved model is loaded by plain transformers where dougong is installed; and what vLLM's backend asks of a model.

vLLM's transformers backend (docs.vllm.ai, supported models, "Writing custom models") is checked from outside: vLLM
itself does not run here.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from dougong import make
from transformers import AttentionInterface, AutoModel, AutoModelForCausalLM
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

FFN = {"use": "ffn", "inner": 24}
LAYER = {"use": "transformer", "attention": {"use": "attention", "heads": 4, "kv_heads": 2}, "ffn": FFN}
CODE = """
import sys
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM
import torch
folder, again = sys.argv[1:]
assert not [name for name in sys.modules if name.startswith("dougong")]
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
assert type(model).__module__ == "dougong_network_decoder.model", type(model)
assert type(AutoModel.from_pretrained(folder, trust_remote_code=True)).__name__ == "DecoderModel"
ids = torch.arange(3, 9)[None]
torch.save(model(ids).logits.detach(), again + ".logits")
assert model.generate(ids, max_new_tokens=2, do_sample=False).shape == (1, 8)
model.save_pretrained(again)
"""


def network(layer=LAYER, **params):
    torch.manual_seed(0)
    return make("network.decoder", vocab=37, width=16, layers=2, layer=layer, **params).build().eval()


def test_transformers_loads_it_in_a_process_that_knows_no_dougong(tmp_path):
    """With trust_remote_code, and saves it again as it was: no code of blocks is copied."""
    model = network()
    model.save_pretrained(tmp_path / "saved")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", CODE, str(tmp_path / "saved"), str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logits = torch.load(tmp_path / "again.logits", weights_only=True)
    torch.testing.assert_close(logits, model(torch.arange(3, 9)[None]).logits)  # threads add in another order
    for name in ("config.json", "model.safetensors", "modeling_dougong.py"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "saved" / name).read_bytes()
    assert {path.name for path in (tmp_path / "again").glob("*.py")} == {"modeling_dougong.py"}


def test_where_dougong_is_imported_no_trust_is_needed(tmp_path):
    network().save_pretrained(tmp_path)
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is type(network())


def test_the_file_beside_names_an_installed_module_and_holds_no_model(tmp_path):
    network().save_pretrained(tmp_path)
    text = (tmp_path / "modeling_dougong.py").read_text()
    assert "import dougong_network_decoder.model" in text
    assert "torch" not in text
    assert len(text) < 500


# ---------------------------------------------------------------- vLLM's transformers backend


@pytest.fixture
def calls():
    """An attention function of our own, which gives zeros and remembers what it was told."""
    told = []

    def attend(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
        told.append((module, query, key, scaling, kwargs))
        return torch.zeros_like(query).transpose(1, 2), None

    AttentionInterface.register("probe", attend)
    AttentionMaskInterface.register("probe", sdpa_mask)
    yield told
    del AttentionInterface._global_mapping["probe"], AttentionMaskInterface._global_mapping["probe"]


def test_attention_is_exchangeable_and_gets_what_a_server_passes(calls):
    """`_supports_attention_backend`; keywords reach the function, whose module says its layer and is causal."""
    model = network()
    assert type(model.model)._supports_attention_backend
    model.set_attn_implementation("probe")
    model.model(torch.arange(3, 9)[None], use_cache=False, attention_instances={0: "first", 1: "second"})
    assert [module.layer_idx for module, *_ in calls] == [0, 1]
    for module, query, key, scaling, kwargs in calls:
        assert kwargs["attention_instances"][module.layer_idx] in ("first", "second")
        assert query.shape == (1, 4, 6, 4)
        assert key.shape == (1, 2, 6, 4), "key heads are repeated by the function, not before it"
        assert scaling == 0.5
        assert module.is_causal is True
    assert {type(module) for module in calls[0][0].children()} >= {torch.nn.Linear}, "maps that a server can replace"


def test_a_window_is_told_to_the_function(calls):
    model = network({**LAYER, "attention": {**LAYER["attention"], "window": 3}})
    model.set_attn_implementation("probe")
    model(torch.arange(3, 9)[None], use_cache=False)
    assert {kwargs["sliding_window"] for *_, kwargs in calls} == {3}
    assert model.config.layer_types == ["sliding_attention"] * 2


def test_config_json_says_what_a_server_reads(tmp_path):
    """Sizes of the cache, and ``auto_map.AutoModel``; no plan for tensor parallelism, which is one GPU a copy."""
    model = network()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    facts = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "head_dim": 4, "vocab_size": 37, "max_position_embeddings": 2048}  # fmt: skip
    assert config.items() >= facts.items()
    assert config["architectures"] == ["DecoderForCausalLM"]
    assert set(config["auto_map"]) >= {"AutoConfig", "AutoModel", "AutoModelForCausalLM"}
    assert not getattr(model.config, "base_model_tp_plan", None)
    assert not getattr(model.config, "base_model_pp_plan", None)


def test_the_body_is_made_without_memory_from_the_config_alone():
    model = network()
    with torch.device("meta"):
        body = AutoModel.from_config(model.config)
    assert body.state_dict().keys() == model.model.state_dict().keys()
    assert isinstance(body.get_input_embeddings(), torch.nn.Embedding)


def test_recurrent_layers_are_not_what_it_serves():
    """vLLM's backend has caches for attention only; the config says that there is something else."""
    model = network({"use": "mamba-layer"})
    assert "linear_attention" in model.config.layer_types or "hybrid" in model.config.layer_types
