"""The figures are transformers'; the cut is the tokenizer's, half characters included."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dougong
import pytest
import torch
import transformers
from click.testing import CliRunner
from dougong import LoadError
from dougong_command_next import command
from dougong_command_next.cut import cut, open_tokenizer, spelled
from dougong_command_next.model import Model
from dougong_command_next.show import bar, plain
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = "The 斗拱 carries 👩‍👩‍👧 beams, 榫卯相接。\n"


@pytest.fixture(scope="module", params=["llama", "dougong"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp(request.param)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    settings = {"vocab_size": 290, "special_tokens": ["<eos>"], "initial_alphabet": alphabet, "show_progress": False}
    tokenizer.train_from_iterator([TEXT] * 3, trainers.BpeTrainer(**settings))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>").save_pretrained(place)
    torch.manual_seed(4)
    if request.param == "llama":
        sizes = {"vocab_size": 290, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.LlamaConfig(**sizes, intermediate_size=24, initializer_range=1.0)
        made = transformers.LlamaForCausalLM(config)
    else:
        ffn = {"use": "ffn", "inner": 24}
        layer = {"use": "transformer", "attention": {"use": "attention", "heads": 2}, "ffn": ffn}
        sizes = {"vocab": 290, "width": 16, "layers": 1, "initializer_range": 1.0}
        made = dougong.make("network.decoder", layer=layer, **sizes).build()
    made.generation_config.eos_token_id = made.generation_config.pad_token_id = None
    made.save_pretrained(place)
    return place


def call(*arguments: object) -> str:
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_probabilities_are_those_of_transformers(folder: Path) -> None:
    found = json.loads(call(folder, "The 斗拱", "--top", 300, "--json"))["next"]
    network = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = transformers.AutoTokenizer.from_pretrained(folder)("The 斗拱", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        wanted = network(ids).logits[0, -1].softmax(-1)
    assert len(found) == 290
    assert sum(item["probability"] for item in found) == pytest.approx(1, abs=1e-5)
    assert all(item["probability"] == pytest.approx(wanted[item["id"]].item(), abs=1e-7) for item in found)
    assert [item["probability"] for item in found] == sorted((item["probability"] for item in found), reverse=True)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_it_writes_is_what_generate_writes(folder: Path, temperature: float) -> None:
    model = Model(folder)
    pieces = list(model.write("The ", 12, temperature, seed=3))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("The ", return_tensors="pt")["input_ids"]
    torch.manual_seed(3)
    drawn = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    wanted = model.network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, **drawn)
    assert "".join(pieces) == tokenizer.decode(wanted[0, ids.shape[1] :], skip_special_tokens=True)


def test_bars_are_drawn_to_the_likeliest(folder: Path) -> None:
    lines = call(folder, "The", "--top", 4, "--write", 3).splitlines()
    assert len(lines) >= 6
    assert lines[0].count("█") == 40
    assert (bar(0.5), bar(0.0), bar(1 / 320)) == ("█" * 20, "", "▏")


def test_the_cut_is_the_tokenizers_and_its_pieces_are_the_text(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    found = cut(tokenizer, TEXT)
    assert [item["id"] for item in found] == tokenizer.encode(TEXT).ids
    data = b""
    for item in found:
        for spelling, plain_text in re.findall(r"<([0-9A-F ]+)>|([^<]+)", item["text"]):
            data += bytes.fromhex(spelling) if spelling else plain_text.encode()
    assert data.decode() == TEXT
    assert [item["text"] for item in cut(tokenizer, "柱")] == ["<E6>", "<9F>", "<B1>"]  # seen in no training text
    printed = call(folder / "tokenizer.json", "柱a", "--tokens")
    assert "<E6>│<9F>│<B1>│a" in printed
    assert "4 tokens, 2 characters, 0.50" in printed


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("斗拱".encode(), "斗拱"),
        ("斗".encode()[:2], "<E6 96>"),
        ("a斗".encode()[:3] + b"b", "a<E6 96>b"),
        (b"\xff\x00", "<FF>\x00"),
        (b"", ""),
    ],
)
def test_bytes_that_are_no_character_are_spelled(data: bytes, text: str) -> None:
    assert spelled(data) == text


def test_a_terminal_obeys_nothing_of_it() -> None:
    assert plain("a\x1b[2J\u202eb") == "a\\x1b[2J\\x202eb"


def test_an_empty_text_begins_at_the_beginning(folder: Path) -> None:
    assert len(Model(folder).odds("", 3)) == 3


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="name a folder that dougong train"):
        Model(tmp_path)
    with pytest.raises(LoadError, match="no tokenizer can be read"):
        open_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "dougong_nowhere"}')
    with pytest.raises(LoadError, match="it cannot be loaded"):
        Model(tmp_path)
