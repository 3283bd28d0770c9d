"""The assembled encoder-decoder against transformers' BART, and as a citizen of transformers."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import json
import subprocess
import sys

import pytest
import torch
from dougong import BuildError, make
from safetensors import safe_open
from transformers import AutoModel, AutoModelForSeq2SeqLM, BartConfig, BartForConditionalGeneration, logging

torch.set_num_threads(1)
logging.set_verbosity_error()
VOCAB, PAD = 61, 0
NORM = {"use": "layernorm", "eps": 1e-5}
ATTENTION = {"use": "attention", "heads": 4, "positions": "none", "bias": "all"}
LAYER = {
    "use": "transformer",
    "placement": "post",
    "norm": NORM,
    "attention": ATTENTION,
    "ffn": {"use": "ffn", "inner": 48, "activation": "gelu", "gated": False, "bias": True},
}
NAMES = (
    ("positions.table", "embed_positions"),
    ("embed_norm", "layernorm_embedding"),
    ("self_attn.o_proj", "self_attn.out_proj"),
    ("cross_attn.o_proj", "encoder_attn.out_proj"),
    ("cross_attn", "encoder_attn"),
    ("cross_attention_layernorm", "encoder_attn_layer_norm"),
    ("post_attention_layernorm", "self_attn_layer_norm"),
    ("post_feedforward_layernorm", "final_layer_norm"),
    ("mlp.up_proj", "fc1"),
    ("mlp.down_proj", "fc2"),
)


def build(**changes):
    torch.manual_seed(0)
    settings = {
        "vocab": VOCAB,
        "width": 32,
        "layers": 2,
        "encoder_layers": 3,
        "encoder": LAYER,
        "decoder": {**LAYER, "cross": {**ATTENTION, "cross": True}},
        "positions": {"use": "positions-learned", "offset": 2},
        "embed_norm": NORM,
        "max_positions": 64,
        "initializer_range": 0.15,
        "pad": PAD,
        "bos": 1,
        "eos": 2,
        "start": 2,
    }
    model = make("network.encoder-decoder", **settings | changes).build().eval()
    if settings["positions"] == (settings | changes)["positions"]:
        model.model.decoder.positions.table.weight.data *= 20  # what is said changes with the place
    return model


def renamed(key):
    for ours, theirs in NAMES:
        key = key.replace(ours, theirs)
    return key


def bart(ours):
    """transformers' BART with our weights."""
    sizes = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "vocab_size": VOCAB, "dropout": 0.0}
    heads = {f"{side}_attention_heads": 4 for side in ("encoder", "decoder")}
    inner = {f"{side}_ffn_dim": 48 for side in ("encoder", "decoder")}
    tokens = {"pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    more = {"max_position_embeddings": 64, "forced_eos_token_id": None}
    theirs = BartForConditionalGeneration(BartConfig(**sizes, **heads, **inner, **tokens, **more)).eval()
    weights = {renamed(key): value for key, value in ours.state_dict().items()}
    found = theirs.load_state_dict(weights, strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) <= {"model.shared.weight", "final_logits_bias"}
    theirs.tie_weights()
    theirs.model.shared.weight.data.copy_(ours.get_input_embeddings().weight)
    return theirs


def batch(padded=True):
    generator = torch.Generator().manual_seed(1)
    ids, mask = torch.randint(3, VOCAB, (3, 9), generator=generator), torch.ones(3, 9, dtype=torch.long)
    for row, pads in enumerate((4, 0, 2) if padded else ()):
        ids[row, 9 - pads :], mask[row, 9 - pads :] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


def said():
    return torch.randint(3, VOCAB, (3, 6), generator=torch.Generator().manual_seed(2))


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [False, True])
def test_logits_loss_and_every_gradient_equal_barts(implementation, padded):
    ours = build()
    theirs = bart(ours)
    labels = said().masked_fill(said() < 12, -100)
    outs = []
    for model in (ours, theirs):
        model.set_attn_implementation(implementation)
        out = model(**batch(padded), labels=labels)
        out.loss.backward()
        outs.append(out)
    assert outs[1].logits.std() > 0.3
    close(outs[0].logits, outs[1].logits)
    close(outs[0].loss, outs[1].loss)
    reference = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        if "embed_tokens" not in key:
            torch.testing.assert_close(parameter.grad, reference[renamed(key)].grad, atol=2e-6, rtol=1e-5)
    close(ours.get_input_embeddings().weight.grad, theirs.model.shared.weight.grad)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"use_cache": False}, {"do_sample": True}], ids=str)
def test_generate_gives_barts_tokens(settings):
    ours = build()
    theirs = bart(ours)
    tokens = []
    for model in (ours, theirs):
        torch.manual_seed(3)
        quiet = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
        tokens.append(model.generate(**batch(), **quiet | settings))
    assert torch.equal(*tokens)
    assert len(set(tokens[0].flatten().tolist())) > 3


def test_the_encoders_keys_and_values_are_made_once_a_generation():
    model, calls = build(), []
    for layer in model.model.decoder.layers:
        layer.cross_attn.k_proj.register_forward_hook(lambda *_: calls.append(1))
    model.generate(**batch(), max_new_tokens=5, do_sample=False, eos_token_id=None)
    assert len(calls) == 2


def test_weights_of_attention_and_hidden_states_come_out_of_both_sides():
    ours = build()
    theirs = bart(ours)
    for model in (ours, theirs):
        model.set_attn_implementation("eager")
    asked = {**batch(False), "decoder_input_ids": said(), "output_attentions": True, "output_hidden_states": True}
    got, want = ours(**asked), theirs(**asked)
    for name in ("encoder_attentions", "decoder_attentions", "cross_attentions", "encoder_hidden_states"):
        assert len(got[name]) == len(want[name]), name
        for mine, other in zip(got[name], want[name]):
            close(mine, other)


def test_it_is_saved_as_safetensors_with_its_tree_and_loads_the_same(tmp_path):
    ours = build(positions={"use": "positions-sinusoidal"}, norm=NORM, tie_embeddings=False)
    ours.save_pretrained(tmp_path)
    tree = json.loads((tmp_path / "config.json").read_text())["blocks"]
    assert tree["decoder"]["cross"]["cross"] is True
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert len(list(file.keys())) == len(dict(ours.named_parameters()))
    again, found = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values()), found
    asked = {**batch(), "decoder_input_ids": said()}
    assert torch.equal(again.eval()(**asked).logits, ours(**asked).logits)
    again.save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
    body = AutoModel.from_pretrained(tmp_path).eval()
    assert torch.equal(body(**asked).last_hidden_state, ours.model(**asked).last_hidden_state)


def test_tied_embeddings_are_one_matrix_after_growing_and_loading(tmp_path):
    ours = build()
    ours.resize_token_embeddings(VOCAB + 3, mean_resizing=False)
    ours.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    pointers = {p.data_ptr() for p in (again.lm_head.weight, *(s.embed_tokens.weight for s in
                (again.model.encoder, again.model.decoder)))}  # fmt: skip
    assert len(pointers) == 1
    assert again.lm_head.weight.shape == (VOCAB + 3, 32)


def test_rotations_windows_and_grouped_queries_work_in_a_decoder_that_attends_to_an_encoder():
    grouped = {"use": "attention", "heads": 4, "kv_heads": 2}
    rest = {"use": "transformer", "ffn": {"use": "ffn", "inner": 48}}
    cross = {**grouped, "cross": True, "positions": "none"}
    cycle = {"use": "cycle", "of": [{**grouped, "window": 4}, grouped]}
    model = build(
        encoder={**rest, "attention": grouped},
        decoder={**rest, "attention": cycle, "cross": cross},
        positions=None,
        norm={"use": "rmsnorm"},
    )
    assert model.config.layer_types == ["sliding_attention", "full_attention"]
    for settings in ({}, {"num_beams": 3}):
        quiet = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, **settings}
        assert torch.equal(model.generate(**batch(), **quiet), model.generate(**batch(), **quiet, use_cache=False))


def test_gradient_checkpointing_changes_no_gradient():
    found = []
    for checkpointing in (False, True):
        model = build().train()
        if checkpointing:
            model.activation_checkpointing_enable()
        model(**batch(), labels=said(), use_cache=False).loss.backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for plain, again in zip(*found):
        close(again, plain)


def test_the_trainer_and_peft_work_on_it(tmp_path):
    pytest.importorskip("accelerate")
    peft = pytest.importorskip("peft")
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    model = build()
    rows = [{"input_ids": ids, "labels": labels} for ids, labels in zip(batch(False)["input_ids"], said())]
    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "logging_strategy": "no", "save_strategy": "no"}
    arguments = Seq2SeqTrainingArguments(tmp_path / "run", max_steps=20, learning_rate=1e-2, **quiet)
    before = model(**batch(False), labels=said()).loss.item()
    Seq2SeqTrainer(model, arguments, train_dataset=rows).train()
    assert model.eval()(**batch(False), labels=said()).loss.item() < before / 2
    settings = peft.LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], task_type="SEQ_2_SEQ_LM", init_lora_weights=False
    )
    adapted = peft.get_peft_model(build(), settings).eval()
    want = adapted(**batch(), labels=said()).logits
    adapted.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(build(), tmp_path / "adapter").eval()
    close(again(**batch(), labels=said()).logits, want)


def test_labels_need_a_start_token_and_padding():
    with pytest.raises(ValueError, match="give the network start"):
        build(start=None, bos=None)(**batch(), labels=said())


def test_a_decoder_without_an_encoder_says_what_is_missing():
    with pytest.raises(ValueError, match="pass encoder_hidden_states"):
        build().model.decoder(said())


def test_heads_that_do_not_fit_name_their_place():
    with pytest.raises(BuildError, match=r"encoder\.attention.*width 32 is not a multiple of 5 heads"):
        build(encoder={**LAYER, "attention": {**ATTENTION, "heads": 5}})


def test_params_import_no_torch():
    code = "import sys, dougong_network_encoder_decoder as p; p.dougong_networks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
