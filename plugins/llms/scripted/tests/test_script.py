import threading

import attrs
import pytest
from dougong import CallError, Message, Part, Run, Usage
from dougong.kinds import LLM
from dougong.proxies import proxied
from dougong_llm_scripted import Params, dougong_llms
from dougong_llm_scripted.script import Scripted


@attrs.frozen
class Named:
    name: str


def ask(llm, text="hello", tools=()):
    return list(llm.chat([Message("user", text)], tools))


def reply(llm, text="hello"):
    return "".join(delta.text for delta in ask(llm, text))


def test_replies_come_in_order_in_pieces_and_the_last_delta_closes():
    llm = Scripted(Params(["one two three four", "二"], piece=5))
    deltas = ask(llm)
    assert [delta.text for delta in deltas] == ["one t", "wo th", "ree f", "our", ""]
    assert deltas[-1].finish == "stop"
    assert deltas[-1].usage == Usage(1, 4, estimated=True)
    assert all(delta.usage is None for delta in deltas[:-1])
    assert reply(llm) == "二"


def test_usage_counts_han_characters_words_and_marks():
    assert ask(Scripted(Params(["你好, world!"])), "答案是 42。")[-1].usage == Usage(5, 5, estimated=True)


def test_running_out_fails_naming_the_call():
    llm = Scripted(Params(["only"]))
    reply(llm)
    with pytest.raises(CallError, match=r"no reply for call 2.*used up"):
        ask(llm)


def test_not_strict_repeats_the_last_reply():
    llm = Scripted(Params(["a", "b"], strict=False))
    assert [reply(llm) for _ in range(4)] == ["a", "b", "b", "b"]


def test_tool_calls_are_sent_whole_and_finish_says_so():
    llm = Scripted(Params([{"text": "looking", "tool_calls": [{"name": "find", "arguments": {"q": "x"}}]}]))
    deltas = ask(llm, tools=[Named("find")])
    (call,) = [call for delta in deltas for call in delta.tool_calls]
    assert (call.name, call.arguments, call.id) == ("find", {"q": "x"}, "call_1_1")
    assert deltas[-1].finish == "tool_calls"


def test_a_tool_that_is_not_offered_is_an_error_that_names_both():
    llm = Scripted(Params([{"tool_calls": [{"name": "find"}]}]))
    with pytest.raises(CallError, match=r"'find'.*offered: search"):
        ask(llm, tools=[Named("search")])


def test_finish_data_and_usage_are_as_scripted():
    llm = Scripted(Params([{"text": "x", "finish": "length", "data": {"p": 1}, "usage": {"input_tokens": 9}}]))
    last = ask(llm)[-1]
    assert (last.finish, last.data, last.usage) == ("length", {"p": 1}, Usage(9))


def test_an_error_comes_after_the_text_before_it():
    deltas = Scripted(Params([{"text": "half", "error": "line dropped"}])).chat([Message("user", "hi")])
    assert next(deltas).text == "half"
    with pytest.raises(CallError, match="line dropped"):
        next(deltas)


def test_when_picks_the_first_unused_reply_whose_words_occur_in_the_request():
    llm = Scripted(Params([{"when": "weather", "text": "sunny"}, {"when": "time", "text": "noon"}, "else"]))
    assert reply(llm, "what time is it") == "noon"
    assert reply(llm, "the weather") == "sunny"
    assert reply(llm, "anything") == "else"
    with pytest.raises(CallError, match="'when'"):
        ask(Scripted(Params([{"when": "weather"}])))


def test_when_reads_quoted_data_too():
    llm = Scripted(Params([{"when": "passage words", "text": "yes"}]))
    content = (Part("passage words", "data", "1"), Part("question"))
    assert "".join(delta.text for delta in llm.chat([Message("user", content)])) == "yes"


def test_every_run_starts_at_the_first_reply():
    llm = Scripted(Params(["first", "second"]))
    proxy = proxied(LLM, llm, "main.llm")
    for _ in range(2):
        run = Run()
        with run.active():
            assert reply(proxy) == "first"
            assert llm.unused(run) == [2]
            assert reply(proxy) == "second"
            assert llm.unused(run) == []
    assert llm.unused() == [1, 2]
    assert reply(llm) == "first"


def test_threads_never_get_the_same_reply():
    llm = Scripted(Params([str(i) for i in range(200)]))
    heard = []
    threads = [threading.Thread(target=lambda: heard.extend(reply(llm) for _ in range(20))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, heard)) == list(range(200))


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([], "at least one"),
        ([3], "reply 1 is 3"),
        (["ok", {"txt": "x"}], "reply 2 has 'txt'"),
        ([{"tool_calls": [{"tool": "x"}]}], "reply 1 has"),
    ],
)
def test_a_malformed_script_is_refused(replies, message):
    with pytest.raises(ValueError, match=message):
        Params(replies)


def test_the_declared_technique_builds():
    (technique,) = dougong_llms()
    assert (technique.name, technique.params) == ("scripted", Params)
    module, _, name = technique.factory.partition(":")
    assert (module, name) == (Scripted.__module__, "Scripted")
