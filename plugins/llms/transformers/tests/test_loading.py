"""Folders, assembled networks, adapters and caches; and that nothing comes from anywhere else."""

import socket

import pytest
import torch
from dougong import BuildError, Message, Sampling, make
from transformers import AutoModelForCausalLM, DynamicCache, StaticCache

from .conftest import Built, byte_level, inner, llama, reference, saved, text_of
from .test_chat import ASKED, at_once

MESSAGES = (Message("user", "How long? 多久？"),)


def decoded(ids):
    return byte_level().decode(ids, skip_special_tokens=True)


# ---------------------------------------------------------------- adapters


@pytest.fixture(scope="module")
def adapters(checkpoint, tmp_path_factory):
    """Two LoRA adapters of the checkpoint that change what it says, as peft saves them."""
    peft = pytest.importorskip("peft")
    folders = {}
    for seed, name in enumerate(("legal", "诗")):
        network = AutoModelForCausalLM.from_pretrained(checkpoint)
        config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(network, config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for key, parameter in adapted.named_parameters():
                if "lora_" in key:
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        folders[name] = tmp_path_factory.mktemp(f"adapter-{seed}")
        adapted.save_pretrained(folders[name])
    return folders


def peft_says(checkpoint, adapter, llm, asked, count):
    """peft's own model of one adapter."""
    import peft

    network = AutoModelForCausalLM.from_pretrained(checkpoint)
    if adapter is not None:
        network = peft.PeftModel.from_pretrained(network, adapter).eval()
    return decoded(reference(checkpoint, llm, asked, count, network)[1])


def test_adapters_are_worn_by_name_over_one_network(checkpoint, adapters):
    llm = make("llm.transformers", folder=checkpoint, max_tokens=24, adapters=adapters, adapter="legal")
    views = {None: llm.adapted(None), "legal": llm, "诗": make("llm.adapted", of=llm, adapter="诗")}
    said = {name: text_of(view.chat(MESSAGES)) for name, view in views.items()}
    assert len(set(said.values())) == 3
    for name, text in said.items():
        assert text == peft_says(checkpoint, adapters.get(name), llm, MESSAGES, 24)
    assert said == {name: text_of(view.chat(MESSAGES)) for name, view in reversed(views.items())}
    assert inner(views["诗"]).adapted("legal").model.endswith("+legal")


def test_chats_with_other_adapters_at_once_do_not_mix(checkpoint, adapters):
    llm = make("llm.transformers", folder=checkpoint, max_tokens=24, adapters=adapters)

    class Turns:
        """Each request with the adapter that its place says."""

        def chat(self, messages, sampling):
            return views[messages[-1].content[0]].chat(messages, sampling=sampling)

    views = {"a": llm.adapted(None), "b": llm.adapted("legal"), "c": llm.adapted("诗")}
    requests = [
        {"messages": (Message("user", f"{'abc'[number % 3]} {number}"),), "sampling": Sampling()} for number in range(9)
    ]
    alone = [list(Turns().chat(**request)) for request in requests]
    assert at_once(Turns(), requests) == alone


def test_an_adapter_that_is_not_there_is_told(checkpoint, adapters, tmp_path):
    llm = make("llm.transformers", folder=checkpoint, adapters=adapters)
    with pytest.raises(BuildError, match="there is no adapter 'poem'; there are legal, 诗"):
        llm.adapted("poem")
    with pytest.raises(BuildError, match=r"holds no adapter_config\.json"):
        make("llm.transformers", folder=checkpoint, adapters={"x": tmp_path})
    other = saved(tmp_path, hidden_size=64)
    with pytest.raises(BuildError, match="cannot be loaded"):
        make("llm.transformers", folder=other, adapters=adapters)


# ---------------------------------------------------------------- caches and networks


class Made:
    """A cache of a test's making, for a slot."""

    def __init__(self, make):
        self.make, self.made = make, 0

    def build(self, network):
        self.made += 1
        return self.make(network)


@pytest.mark.parametrize(
    "make_cache",
    [lambda network: DynamicCache(), lambda network: StaticCache(config=network.config, max_cache_len=256)],
    ids=["dynamic", "static"],
)
def test_a_cache_that_is_given_is_made_for_each_chat(checkpoint, make_cache):
    cache = Made(make_cache)
    llm = make("llm.transformers", folder=checkpoint, cache=cache, max_tokens=12)
    replies = at_once(llm, [{"messages": asked, "sampling": Sampling()} for asked in ASKED])
    assert cache.made == len(ASKED)
    for asked, reply in zip(ASKED, replies):
        assert text_of(reply) == decoded(reference(checkpoint, llm, asked, 12)[1])


def test_a_network_of_blocks_chats(checkpoint):
    pytest.importorskip("dougong_network_decoder")
    tokenizer = byte_level()
    layer = {"use": "transformer", "attention": {"use": "attention", "heads": 4}, "ffn": {"use": "ffn", "inner": 48}}
    sizes = {"vocab": len(tokenizer), "width": 32, "layers": 2, "eos": tokenizer.eos_token_id}
    network = {"use": "decoder", "layer": layer, "initializer_range": 0.3, **sizes}
    llm = make("llm.transformers", folder=checkpoint, network=network, max_tokens=16, tool_choice="required")
    _, wanted = reference(checkpoint, llm, MESSAGES, 16, inner(llm)._engine.network)
    assert text_of(llm.chat(MESSAGES)) == decoded(wanted)
    replies = at_once(llm, [{"messages": asked, "sampling": Sampling()} for asked in ASKED])
    assert [text_of(reply) for reply in replies] == [text_of(llm.chat(asked)) for asked in ASKED]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_network_has_the_dtype_that_is_asked_for(checkpoint, dtype):
    llm = make("llm.transformers", folder=checkpoint, dtype=dtype, max_tokens=4, device="cpu")
    assert inner(llm)._engine.network.dtype == getattr(torch, dtype)
    assert list(llm.chat(MESSAGES))[-1].usage.output_tokens == 4


# ---------------------------------------------------------------- refused


def test_nothing_is_asked_of_the_network(checkpoint, adapters, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError(f"it tried to connect: {arguments}")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert list(make("llm.transformers", folder=checkpoint, adapters=adapters, max_tokens=4).chat(MESSAGES))
    for name in ("gpt2", "Qwen/Qwen3-0.6B"):
        with pytest.raises(BuildError, match=r"holds no config\.json; give the folder of a checkpoint"):
            make("llm.transformers", folder=name)


def test_pickled_weights_are_refused(tmp_path):
    tokenizer = byte_level()
    network = llama(tokenizer)
    network.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BuildError, match="cannot be loaded"):
        make("llm.transformers", folder=tmp_path)


def test_what_does_not_fit_is_told(checkpoint, tmp_path):
    llama(byte_level()).save_pretrained(tmp_path)
    with pytest.raises(BuildError, match=r"holds no tokenizer\.json"):
        make("llm.transformers", folder=tmp_path)
    with pytest.raises(BuildError, match=r"the tokenizer has 3.. tokens and the network 37"):
        make("llm.transformers", folder=checkpoint, network=Built(llama(byte_level(), vocab_size=37, eos_token_id=1)))
    with pytest.raises(BuildError, match="device 'abacus' cannot be used") as caught:
        make("llm.transformers", folder=checkpoint, device="abacus")
    assert "cpu runs anywhere" in str(caught.value)
    with pytest.raises(BuildError, match="the network does not run"):
        make("llm.transformers", folder=checkpoint, network=Built(torch.nn.Linear(2, 2)))
