"""Nothing is written without a yes; who says no is heard by the model."""

from __future__ import annotations

import threading

import dougong
import pytest
from dougong import CallError, Run, Secret, tool
from dougong.journal import Journal
from dougong.kinds import LLM, Tool
from dougong.proxies import proxied
from dougong_middleware_approval import Params
from dougong_middleware_approval.approval import Approval, shown

DONE: list[str] = []


@tool(effect="write")
def post(text: str) -> str:
    DONE.append(text)
    return "posted"


@tool
def look(text: str) -> str:
    return f"saw {text}"


POST, LOOK = proxied(Tool, post, "main.tools[0]"), proxied(Tool, look, "main.tools[1]")


class Person:
    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, question, choices):
        self.asked.append((question, tuple(choices)))
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def _nothing_done():
    DONE.clear()


def test_yes_allows_the_call_and_shows_what_it_allows():
    person = Person("yes")
    with Run([Approval(Params())], ask=person).active():
        assert POST.call({"text": "hello"}).text == "posted"
    assert person.asked == [('Call main.tools[0] with {"text": "hello"}?', ("yes", "no"))]
    assert DONE == ["hello"]


@pytest.mark.parametrize("answer", ["no", "", "YES", "later, please"])
def test_anything_else_refuses_and_tells_the_model(answer):
    with Run([Approval(Params())], ask=Person(answer)).active():
        result = POST.call({"text": "hello"})
    assert result.error
    assert result.text.endswith(f"Answer: {answer}")
    assert DONE == []


def test_chinese_arguments_are_asked_about_in_chinese():
    person = Person("no", "no")
    with Run([Approval(Params())], ask=person).active():
        assert "负责人没有同意" in POST.call({"text": "你好"}).text
    assert person.asked[0][0] == '调用 main.tools[0]，参数为 {"text": "你好"}，可以吗？'
    with Run([Approval(Params(language="en"))], ask=person).active():
        assert "did not allow" in POST.call({"text": "你好"}).text


def test_reading_is_asked_about_only_by_name():
    with Run([Approval(Params())]).active():
        assert LOOK.call({"text": "x"}).text == "saw x"
    person = Person("no", "no")
    with Run([Approval(Params(names=["main.tools*"]))], ask=person).active():
        assert LOOK.call({"text": "x"}).error
    with Run([Approval(Params(effects=["read", "write"]))], ask=person).active():
        assert LOOK.call({"text": "x"}).error
    with Run([Approval(Params(effects=[]))]).active():
        assert POST.call({"text": "x"}).text == "posted"


def test_an_answer_allows_one_attempt():
    person = Person("yes", "no")
    with Run([Approval(Params())], ask=person).active():
        POST.call({"text": "a"})
        assert POST.call({"text": "a"}).error
    assert DONE == ["a"]


def test_where_nobody_can_be_asked_nothing_is_done():
    with Run([Approval(Params())]).active(), pytest.raises(CallError, match="nobody can be asked"):
        POST.call({"text": "x"})
    assert DONE == []


def test_the_question_hides_nothing_and_shows_no_secret():
    key = Secret("s3cret-key-of-the-post-office")
    text = shown({"text": f"\x1b[2J\u202emoc\u202c \x7f \x9b {key.reveal()} 好 {{name}}"})
    assert text == '{"text": "\\u001b[2J\\u202emoc\\u202c \\x7f \\x9b *** 好 {name}"}'
    person = Person("no")
    with Run([Approval(Params())], ask=person).active():
        POST.call({"text": "{name} {arguments} {answer}"})
    assert person.asked[0][0] == 'Call main.tools[0] with {"text": "{name} {arguments} {answer}"}?'


def test_questions_of_branches_come_one_after_the_other():
    under_way, most, lock = [0], [0], threading.Lock()

    def person(question, choices):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        threading.Event().wait(0.005)
        with lock:
            under_way[0] -= 1
        return "yes"

    with Run([Approval(Params())], ask=person).active() as run:
        run.parallel([lambda: POST.call({"text": "x"})] * 8)
    assert (most[0], len(DONE)) == (1, 8)


def test_a_resumed_run_does_not_ask_again(tmp_path):
    def go(person, replay=False, calls=2):
        journal = Journal(tmp_path / "run.jsonl")
        try:
            with Run([Approval(Params())], journal=journal, replay=replay, ask=person).active():
                return [POST.call({"text": str(number)}).text for number in range(calls)]
        finally:
            journal.close()

    first = go(Person("yes", "no"))
    assert go(Person(), replay=True) == first
    assert go(Person("yes"), calls=3) == [*first, "posted"]
    assert DONE == ["0", "2"]


def test_models_are_not_asked_about():
    class Model:
        def chat(self, *request, **keywords):
            yield dougong.Delta("x")

    with Run([Approval(Params(names=["*"]))]).active():
        assert list(proxied(LLM, Model(), "main.llm").chat([]))


def test_it_is_assembled_by_name():
    assert dougong.make("middleware.approval", names=["main.*"])
    with pytest.raises(dougong.ConfigError, match=r"must hold \{name\} and \{arguments\}"):
        dougong.make("middleware.approval", question_en="May I?")
