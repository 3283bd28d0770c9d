"""Greedy replies beside transformers' `generate`; text, stops, limits, seeds, usage."""

import gc
import threading

import pytest
import torch
from dougong import CallError, Cancelled, Message, Part, Run, Sampling, make
from dougong_llm_transformers import ContextOverflow
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from .conftest import Built, byte_level, inner, llama, parrot, reference, text_of

ASKED = [
    (Message("user", "How long do refunds take?"),),
    (Message("system", "简短作答。"), Message("user", "屋檐的重量由什么传给柱子？")),
    (Message("user", (Part("Refunds take one week. 退款需要一周。", "data", "1"), Part("How long 多久?"))),),
    (Message("user", "2 + 3?"), Message("assistant", "5"), Message("user", "再加一？")),
]


@pytest.fixture
def local(checkpoint):
    """Makes a model of the checkpoint."""
    return lambda **params: make("llm.transformers", **{"folder": checkpoint, "max_tokens": 40, **params})


@pytest.mark.parametrize("asked", ASKED, ids=range(len(ASKED)))
def test_a_greedy_reply_is_that_of_generate(local, checkpoint, asked):
    llm = local()
    prompt, wanted = reference(checkpoint, llm, asked, 40)
    deltas = list(llm.chat(asked))
    assert text_of(deltas) == byte_level().decode(wanted, skip_special_tokens=True)
    assert deltas[-1].usage.input_tokens == len(prompt)
    assert deltas[-1].usage.output_tokens == len(wanted)
    assert deltas[-1].finish == ("stop" if wanted[-1] == byte_level().eos_token_id else "length")


def test_a_prompt_longer_than_a_piece_is_read_in_pieces_and_answered_the_same(local, checkpoint):
    llm, asked = local(), (Message("user", "退款 refund " * 150),)
    prompt, wanted = reference(checkpoint, llm, asked, 40)
    assert len(prompt) > 1024
    assert text_of(llm.chat(asked)) == byte_level().decode(wanted, skip_special_tokens=True)


def test_a_deterministic_choice_of_top_p_is_greedy_and_a_seed_repeats(local):
    llm = local()

    def say(**sampling):
        return text_of(llm.chat(ASKED[0], sampling=Sampling(**sampling)))

    assert say(temperature=1.0, top_p=1e-6) == say()
    assert say(temperature=2.0, seed=1) == say(temperature=2.0, seed=1) != say(temperature=2.0, seed=2)
    assert say(temperature=2.0) != say(temperature=2.0)


def test_tokens_come_as_often_as_the_network_says(local, checkpoint):
    """The first token's frequencies over 2,000 seeds lie within four standard errors of softmax."""
    llm = local()
    ids = inner(llm)._prompter.tokens(ASKED[0], (), None)
    network = AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        logits = network(torch.tensor([ids])).logits[0, -1]
    from dougong_llm_transformers.reply import chooser
    from transformers import GenerationConfig

    for temperature in (0.5, 1.0):
        wanted = (logits / temperature).softmax(-1)
        found = torch.zeros_like(wanted)
        for seed in range(2000):
            found[chooser(Sampling(temperature=temperature, seed=seed), GenerationConfig())(ids, logits)] += 1 / 2000
        error = (wanted * (1 - wanted) / 2000).sqrt()
        assert ((found - wanted).abs() <= 4 * error + 1 / 2000).all()


def test_settings_that_a_request_leaves_open_are_the_networks(checkpoint):
    """generation_config's do_sample, temperature and repetition penalty hold; temperature 0 overrides them."""
    network = AutoModelForCausalLM.from_pretrained(checkpoint)
    network.generation_config.do_sample, network.generation_config.temperature = True, 3.0
    llm = make("llm.transformers", folder=checkpoint, network=Built(network), max_tokens=20)
    assert text_of(llm.chat(ASKED[0])) != text_of(llm.chat(ASKED[0]))
    plain = make("llm.transformers", folder=checkpoint, max_tokens=20)
    assert text_of(llm.chat(ASKED[0], sampling=Sampling(temperature=0))) == text_of(plain.chat(ASKED[0]))
    network.generation_config.do_sample, network.generation_config.repetition_penalty = False, 1.7
    _, wanted = reference(checkpoint, llm, ASKED[0], 20, network)
    assert text_of(llm.chat(ASKED[0])) == byte_level().decode(wanted, skip_special_tokens=True)


# ---------------------------------------------------------------- text


def test_no_delta_has_half_a_character(checkpoint):
    """Every character here is several tokens; joined, the deltas are what was said."""
    said = "斗拱 is 🏯 made of 木头, 👨‍👩‍👧 é 𠀀。"
    tokenizer = byte_level()
    network = parrot(tokenizer, said)
    llm = make("llm.transformers", folder=checkpoint, network=Built(network), device="cpu")
    deltas = list(llm.chat(ASKED[0]))
    assert text_of(deltas) == said
    assert all("\ufffd" not in delta.text for delta in deltas)
    assert len(deltas) > 15
    assert deltas[-1].usage.output_tokens == len(network.ids) + 1  # and the end mark


def test_any_tokens_are_the_text_that_the_tokenizer_makes_of_them(checkpoint):
    """Random tokens are mostly broken characters; control tokens are left out."""
    tokenizer = byte_level()
    llm = inner(make("llm.transformers", folder=checkpoint))
    for seed in range(300):
        ids = torch.randint(0, len(tokenizer), (8,), generator=torch.Generator().manual_seed(seed)).tolist()
        found = b"".join(map(llm._words.bytes_of, ids)).decode("utf-8", "replace")
        assert found == tokenizer.decode(ids, skip_special_tokens=True)


def test_bytes_that_are_no_text_are_replaced_as_python_replaces_them(checkpoint):
    tokenizer = byte_level()
    broken = [id for text in ("斗", "a", "拱") for id in tokenizer.encode(text)[:-1] or tokenizer.encode(text)]
    network = parrot(tokenizer, broken)
    llm = make("llm.transformers", folder=checkpoint, network=Built(network))
    pieces = b"".join(inner(llm)._words.bytes_of(token) for token in broken)
    assert text_of(llm.chat(ASKED[0])) == pieces.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        (("ne we",), "Refunds take o"),  # over three tokens
        (("木构",), "Refunds take one week 中国"),
        (("x", "take one", "ke"), "Refunds ta"),  # the one that begins first
        (("never said", "week!"), None),
        (("week 中国木构建筑。and more",), None),  # begun, never completed: nothing is lost
        (("",), None),
    ],
)
def test_a_stop_string_ends_the_reply_across_token_borders(checkpoint, stop, wanted):
    said = "Refunds take one week 中国木构建筑。"
    llm = make("llm.transformers", folder=checkpoint, network=Built(parrot(byte_level(), said)))
    deltas = list(llm.chat(ASKED[0], sampling=Sampling(stop=stop)))
    assert text_of(deltas) == (said if wanted is None else wanted)
    assert deltas[-1].finish == "stop"


def test_tokens_after_a_stop_string_are_neither_made_nor_counted(checkpoint):
    network = parrot(byte_level(), "one two three four five six seven")
    llm = make("llm.transformers", folder=checkpoint, network=Built(network))
    before = network.forwards
    deltas = list(llm.chat(ASKED[0], sampling=Sampling(stop=("three",))))
    assert network.forwards - before == deltas[-1].usage.output_tokens < len(network.ids)


def test_a_tokenizer_with_byte_tokens_loses_the_space_that_it_puts_first(tmp_path):
    """SentencePiece's kind: "▁week" is " week", and the reply's own first space is not part of it."""
    bytes_, words = [f"<0x{i:02X}>" for i in range(256)], ["▁", "▁week", "▁one", "a", "中"]
    vocab = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((b, -20.0) for b in bytes_), *((w, -2.0) for w in words)]
    raw = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")
    tokenizer.save_pretrained(tmp_path)
    network = parrot(tokenizer, "one week 中国 a week")
    llm = make("llm.transformers", folder=tmp_path, network=Built(network))
    assert text_of(llm.chat((Message("user", "a"),))) == "one week 中国 a week" == tokenizer.decode(network.ids)


def test_a_tokenizer_of_words_can_talk_and_refuses_schemas(tmp_path):
    words = ["[UNK]", "[SEP]", "斗", "拱", "的", "<", "|", "im", "user", ">", "assistant", "a", "##b"]
    raw = Tokenizer(models.WordPiece({word: id for id, word in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="[SEP]")
    tokenizer.save_pretrained(tmp_path)
    llm = make("llm.transformers", folder=tmp_path, network=Built(parrot(tokenizer, "斗 拱 ab a 的")))
    assert text_of(llm.chat((Message("user", "斗拱"),))) == "斗 拱 ab a 的"
    with pytest.raises(CallError, match="words, not bytes"):
        list(llm.chat((Message("user", "斗拱"),), schema={"type": "object"}))


# ---------------------------------------------------------------- limits


def test_a_request_longer_than_the_context_is_named(local):
    llm = local(context=30)
    with pytest.raises(ContextOverflow, match="holds 30, the reply included") as caught:
        list(llm.chat((Message("user", "word " * 40),)))
    assert caught.value.tokens > caught.value.context == 30


def test_a_reply_ends_where_the_context_does(local):
    tokens = list(local().chat(ASKED[0]))[-1].usage.input_tokens
    last = list(local(context=tokens + 3).chat(ASKED[0]))[-1]
    assert (last.finish, last.usage.output_tokens) == ("length", 3)


# ---------------------------------------------------------------- chats at once


def at_once(llm, requests):
    """The deltas of `requests`, each read on a thread of its own, all begun together."""
    replies, start = [None] * len(requests), threading.Barrier(len(requests))

    def work(number):
        start.wait(30)
        replies[number] = list(llm.chat(requests[number]["messages"], sampling=requests[number]["sampling"]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return replies


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_chats_at_once_say_what_each_says_alone(local, checkpoint, batch):
    """Twelve chats of other lengths and limits, joining and leaving batches; one in two is sampled."""
    llm = local(batch=batch)
    requests = [
        {
            "messages": (*ASKED[number % 4][:-1], Message("user", f"{'字 word ' * number}{number}?")),
            "sampling": Sampling(max_tokens=5 + 3 * number, temperature=float(number % 2), seed=number),
        }
        for number in range(12)
    ]
    alone = [list(llm.chat(**request)) for request in requests]
    network, forwards = inner(llm)._engine.network, []
    network.register_forward_hook(lambda module, given, found: forwards.append(found.logits.shape[0]))
    assert at_once(llm, requests) == alone
    assert max(forwards) <= batch
    if batch == 8:
        assert len(forwards) < sum(reply[-1].usage.output_tokens for reply in alone) / 2, "they were not batched"
    assert not inner(llm)._engine._batches
    for number in range(0, 12, 2):
        _, wanted = reference(checkpoint, llm, requests[number]["messages"], 5 + 3 * number)
        assert text_of(alone[number]) == byte_level().decode(wanted, skip_special_tokens=True)


def test_replies_read_in_turns_on_one_thread_are_one_batch(local):
    llm, forwards = local(), []
    alone = [text_of(llm.chat(asked)) for asked in ASKED]
    inner(llm)._engine.network.register_forward_hook(lambda *_: forwards.append(1))
    streams = [llm.chat(asked) for asked in ASKED]
    found = ["" for _ in streams]
    going = list(range(len(streams)))
    while going:
        for number in list(going):
            delta = next(streams[number], None)
            found[number] += "" if delta is None else delta.text
            if delta is None:
                going.remove(number)
    assert found == alone
    assert len(forwards) < 40 * len(streams) / 2


def test_a_network_with_a_window_or_without_a_cache_says_what_generate_says(tmp_path):
    tokenizer = byte_level()
    tokenizer.save_pretrained(tmp_path)
    end = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": None}
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, **end}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
    torch.manual_seed(3)
    for network in (
        MistralForCausalLM(MistralConfig(**sizes, **heads, sliding_window=8, initializer_range=0.3)),
        MambaForCausalLM(MambaConfig(**sizes, state_size=4, initializer_range=0.3)),
    ):
        llm = make("llm.transformers", folder=tmp_path, network=Built(network.eval()), max_tokens=16)
        replies = at_once(llm, [{"messages": asked, "sampling": Sampling()} for asked in ASKED])
        for asked, reply in zip(ASKED, replies):
            _, wanted = reference(tmp_path, llm, asked, 16, network)
            assert text_of(reply) == tokenizer.decode(wanted, skip_special_tokens=True), type(network)


# ---------------------------------------------------------------- the end


def test_a_closed_reply_takes_part_in_no_further_step(local):
    llm, forwards, threads = local(), [], set(threading.enumerate())
    inner(llm)._engine.network.register_forward_hook(lambda module, given, found: forwards.append(len(found.logits)))
    first, second = llm.chat(ASKED[0]), llm.chat(ASKED[1])
    for _ in range(3):
        next(first), next(second)
    first.close()
    count = len(forwards)
    assert not [seat for batch in inner(llm)._engine._batches for seat in batch.seats if seat.over]
    list(second)
    assert set(forwards[count:]) == {1}
    assert not inner(llm)._engine._batches
    assert set(threading.enumerate()) <= threads, "there is no thread to outlive a chat"


def test_a_reply_that_is_forgotten_frees_its_place(local):
    llm = local(batch=1)
    reply = llm.chat(ASKED[0])
    next(reply)
    del reply
    gc.collect()
    assert text_of(llm.chat(ASKED[1]))


def test_a_cancelled_run_ends_between_two_pieces_of_a_long_prompt(checkpoint):
    llm = make("llm.transformers", folder=checkpoint, max_tokens=40)
    network, forwards = inner(llm)._engine.network, []
    run = Run()

    def hook(*_):
        forwards.append(1)
        run.cancel()

    network.register_forward_hook(hook)
    with run.active(), pytest.raises(Cancelled):
        list(inner(llm).chat((Message("user", "退款 refund " * 150),)))
    assert len(forwards) == 1


def test_closing_the_model_ends_what_is_under_way(local):
    llm = local()
    reply = llm.chat(ASKED[0])
    next(reply)
    llm.close()
    with pytest.raises(Cancelled, match="closed"):
        list(reply)


def test_a_network_that_fails_fails_its_chats_and_serves_the_next(checkpoint):
    network, broken = AutoModelForCausalLM.from_pretrained(checkpoint), [False]

    def hook(module, given, found):
        if broken[0]:
            raise RuntimeError("out of luck")

    network.register_forward_hook(hook)
    llm = make("llm.transformers", folder=checkpoint, network=Built(network), max_tokens=40)
    reply = llm.chat(ASKED[0])
    next(reply)
    broken[0] = True
    with pytest.raises(CallError, match="the network failed: RuntimeError: out of luck") as caught:
        list(reply)
    assert caught.value.hint
    with pytest.raises(CallError, match="out of luck"):
        list(llm.chat(ASKED[1]))
    broken[0] = False
    assert text_of(llm.chat(ASKED[1])) == text_of(
        make("llm.transformers", folder=checkpoint, max_tokens=40).chat(ASKED[1])
    )


def test_numbers_that_are_none_are_told(checkpoint):
    network = llama(byte_level())
    with torch.no_grad():
        network.lm_head.weight.fill_(float("nan"))
    llm = make("llm.transformers", folder=checkpoint, network=Built(network))
    with pytest.raises(CallError, match="not a number"):
        list(llm.chat(ASKED[0]))
