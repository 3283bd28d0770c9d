import pytest
from dougong import CallError, ConfigError, Event, Exhausted, Part, Run, Sampling, make
from dougong_llm_scripted import Params as Script
from dougong_llm_scripted.script import Scripted
from dougong_pattern_prompt import Params, Texts, TextsZh, dougong_patterns, names
from dougong_pattern_prompt.prompt import Prompt, fill
from hypothesis import given
from hypothesis import strategies as st

EXAMPLES = [{"input": "2+2", "output": "4"}, {"input": "三加三", "output": "6"}]


class Model:
    """The script, remembering what it was asked."""

    def __init__(self, *replies):
        self._script, self.asked = Scripted(Script([*replies])), []

    def chat(self, messages, tools=(), schema=None, sampling=None):
        self.asked.append((messages, schema, sampling))
        yield from self._script.chat(messages)


def ask(*replies, task="What is 5+5?", **params):
    model, events = Model(*replies), list[Event]()
    run = Run(listener=events.append)
    with run.active():
        return Prompt(Params(model, **params)).run(task, run), model, events


def sent(model, request=-1):
    """A request as role and text of each message, data parts in brackets."""
    return [
        (m.role, "|".join(part.text if part.kind == "text" else f"[{part.text}]" for part in m.parts))
        for m in model.asked[request][0]
    ]


# ---------------------------------------------------------------- templates


@given(st.text(), st.text())
def test_what_a_value_contains_is_never_looked_into(before, value):
    """Attribute access, indexing, conversion, nested fields: in a value they are text."""
    before = before.replace("{", "(")
    assert fill(before + "{input}", {"input": value, "secret": "S"}) == before + value


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{input}", "{other} {input.__class__}"),
        ("{{input}}", "{input}"),
        ('{"a": {"b": 1}} {input}', '{"a": {"b": 1}} {other} {input.__class__}'),
        ("{input.real} {0} {} {input!r} {input:>9} ${input", "{input.real} {0} {} {input!r} {input:>9} ${input"),
        ("{部门}", "客服"),
    ],
)
def test_a_template_has_plain_fields_and_nothing_else(template, wanted):
    assert fill(template, {"input": "{other} {input.__class__}", "部门": "客服", "other": "no"}) == wanted


def test_names_are_the_fields_of_a_template():
    assert names("{a} {{b}} {c_1} {} {0} {d.e} {部门}") == {"a", "c_1", "部门"}


# ---------------------------------------------------------------- the prompt


def test_the_parts_come_in_order_and_only_the_context_is_data():
    _, model, _ = ask(
        "10",
        instruction="You are {who}.",
        context="Sums of {who}.",
        examples=EXAMPLES,
        template="Calculate: {input}",
        fields={"who": "a clerk"},
    )
    assert sent(model) == [
        ("system", "You are a clerk."),
        ("user", "Calculate: 2+2"),
        ("assistant", "4"),
        ("user", "Calculate: 三加三"),
        ("assistant", "6"),
        ("user", "[Sums of a clerk.]|Calculate: What is 5+5?"),
    ]
    assert model.asked[0][0][-1].parts[0] == Part("Sums of a clerk.", "data", "context")


def test_examples_as_text_stand_before_the_input_in_the_same_form():
    _, model, _ = ask("10", examples=EXAMPLES, examples_as="text")
    assert sent(model)[1:] == [
        ("user", "Input: 2+2\nOutput: 4\n\nInput: 三加三\nOutput: 6|Input: What is 5+5?\nOutput:")
    ]
    _, model, _ = ask("10", examples=EXAMPLES, examples_as="text", task="五加五是多少？")
    assert sent(model)[1][1].endswith("|输入：五加五是多少？\n输出：")


def test_the_tasks_language_chooses_the_words_unless_they_are_set():
    for task, texts in (("What is it?", Texts()), ("这是什么？", TextsZh())):
        _, model, _ = ask("x", task=task)
        assert sent(model) == [("system", texts.instruction), ("user", task)]
    _, model, _ = ask("x", task="这是什么？", instruction="Be brief.")
    assert sent(model)[0] == ("system", "Be brief.")


def test_the_task_is_sent_as_it_is():
    _, model, _ = ask("x", task="  {who}\n{{input}} ", fields={"who": "no"})
    assert sent(model)[-1] == ("user", "  {who}\n{{input}} ")


def test_the_prompt_is_in_the_answer_and_in_an_event():
    answer, model, events = ask("10", context="c")
    assert answer.data["prompt"] == [
        {"role": "system", "parts": [{"kind": "text", "text": Texts().instruction}]},
        {"role": "user", "parts": [{"kind": "data", "text": "c"}, {"kind": "text", "text": "What is 5+5?"}]},
    ]
    (event,) = [event for event in events if event.kind == "prompt"]
    assert event.data["messages"] == model.asked[0][0]


# ---------------------------------------------------------------- chain of thought


def test_zero_shot_chain_of_thought_asks_for_reasoning_then_for_the_answer():
    """Kojima et al., figure 2: the first call ends in the trigger, the second holds the reasoning and the question."""
    answer, model, events = ask("5 and 5 make 10.", "10", chain_of_thought=True, schema={"type": "integer"})
    assert sent(model, 0)[-1] == ("user", "What is 5+5?\n\nLet's think step by step.")
    assert sent(model, 1)[-2:] == [("assistant", "5 and 5 make 10."), ("user", Texts().extract)]
    assert sent(model, 1)[:-2] == sent(model, 0)
    assert [schema for _, schema, _ in model.asked] == [None, {"type": "integer"}]
    assert (answer.text, answer.data["reasoning"], answer.data["value"]) == ("10", "5 and 5 make 10.", 10)
    assert "".join(event.data["text"] for event in events if event.kind == "say") == "10"
    assert answer.data["prompt"][-1]["parts"][0]["text"] == Texts().extract


def test_few_shot_chain_of_thought_shows_reasoning_before_the_output():
    example = {"input": "2+2", "reasoning": "Two and two.", "output": "4"}
    _, model, _ = ask("r", "10", chain_of_thought=True, examples=[example])
    assert sent(model, 0)[2] == ("assistant", "Two and two.\n\n4")
    _, model, _ = ask("r", "10", chain_of_thought=True, examples=[example], examples_as="text", task="五加五")
    assert sent(model, 0)[1][1].endswith("|输入：五加五\n输出： 让我们一步一步地思考。")


# ---------------------------------------------------------------- the answer


def test_sampling_and_schema_reach_the_model_and_the_value_comes_back():
    answer, model, _ = ask('{"词": [1]}', schema={"type": "object"}, sampling=Sampling(temperature=0.2))
    assert model.asked[0][1:] == ({"type": "object"}, Sampling(temperature=0.2))
    assert answer.data["value"] == {"词": [1]}
    with pytest.raises(CallError, match=r"not JSON.*schema_mode"):
        ask("sorry", schema={"type": "object"})


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        ("10", "answered", ""),
        ({"text": "1", "finish": "length"}, "stopped", "cut"),
        ({"text": " "}, "stopped", "nothing"),
        ({"text": "", "finish": "content_filter"}, "declined", "filter"),
    ],
)
def test_how_the_reply_ended_is_the_status(reply, status, reason):
    answer, _, _ = ask(reply)
    assert answer.status == status
    assert reason in answer.reason


@pytest.mark.parametrize("spoken", [0, 2])
def test_an_exhausted_budget_gives_what_there_is(spoken):
    class Tired(Model):
        def chat(self, messages, tools=(), schema=None, sampling=None):
            if self.asked:
                yield from list(self._script.chat(messages))[:spoken]
                raise Exhausted("no tokens are left", what="tokens")
            yield from super().chat(messages)

    run = Run()
    with run.active():
        answer = Prompt(Params(Tired("because", "0123456789abcdef"), chain_of_thought=True)).run("why?", run)
    assert (answer.status, answer.reason) == ("stopped", "no tokens are left")
    assert answer.text == "0123456789abcdef"[: spoken * 8]
    assert answer.data["reasoning"] == "because"


# ---------------------------------------------------------------- params


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"template": "no place"}, "must contain {input}"),
        ({"instruction": "You are {who}."}, "instruction uses: who is missing; define 'who' here, or write {{who}}"),
        ({"instruction": "Do {input}."}, "instruction uses: input"),
        ({"context": "{a} {b}", "fields": {"a": "x"}}, "context uses: b"),
        ({"fields": {"input": "x"}}, "must not define 'input'"),
        ({"examples": [{"input": "x"}]}, "example 1 has ['input']"),
        ({"examples": [{**EXAMPLES[0], "reasoning": "r"}]}, "with chain_of_thought, 'reasoning'; example 1"),
    ],
)
def test_wrong_parameters_are_refused_with_the_cure(wrong, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Params(None, **wrong)
    assert message in str(caught.value)


def test_a_config_names_every_mistake():
    with pytest.raises(ConfigError) as caught:
        make("pattern.prompt", llm={"use": "llm.scripted", "replies": ["x"]}, template="{x}", examples=[{"in": "a"}])
    assert {p.path.partition(".")[2] for p in caught.value.problems} == {"template", "examples"}


def test_a_config_sets_sampling_and_single_texts():
    built = make(
        "pattern.prompt",
        llm={"use": "llm.scripted", "replies": ["x"]},
        sampling={"temperature": 1, "stop": ["END"]},
        texts_zh={"think": "想一想。"},
    )
    assert built._params.sampling == Sampling(temperature=1.0, stop=("END",))
    assert built._params.texts_zh == TextsZh(think="想一想。")


@pytest.mark.parametrize("task", ["", " \n"])
def test_an_empty_task_is_an_error(task):
    with pytest.raises(CallError, match="empty"):
        ask("x", task=task)


def test_the_declared_technique_builds():
    (technique,) = dougong_patterns()
    module, _, name = technique.factory.partition(":")
    assert (technique.name, module, name) == ("prompt", Prompt.__module__, "Prompt")
