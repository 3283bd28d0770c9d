from __future__ import annotations

import dougong
import pytest
from dougong import CallError, Cancelled, Delta, Message
from dougong_llm_fallback import AllFailed, Params
from dougong_llm_fallback.fallback import Fallback

ASK = [Message("user", "hello")]


class Failure(CallError):
    def __init__(self, kind, retry_after=None):
        super().__init__(f"it is a {kind}", hint="wait")
        self.kind, self.retry_after = kind, retry_after


class Model:
    """Says its words, then raises its error; keeps what it was asked."""

    def __init__(self, *words, error=None, model=""):
        self.words, self.error, self.model, self.asked = words, error, model, []

    def chat(self, *request):
        self.asked.append(request)
        for word in self.words:
            yield Delta(word, data={"own": 1})
        if self.error:
            raise self.error


def chat(*models, **params):
    return Fallback(Params(list(models), **params)).chat(ASK)


def text(deltas):
    return "".join(delta.text for delta in deltas)


def test_the_first_that_answers_answers_and_is_named():
    models = Model(error=Failure("timeout"), model="big"), Model("a", "b", model="small"), Model("c")
    deltas = list(chat(*models))
    assert text(deltas) == "ab"
    assert deltas[0].data == {
        "own": 1,
        "fallback": {"answered": "of[1] (small)", "failed": {"of[0] (big)": "timeout, it is a timeout"}},
    }
    assert deltas[1].data == {"own": 1}
    assert not models[2].asked


def test_every_model_is_asked_the_same():
    models = [Model(error=Failure("server")), Model("x")]
    schema, sampling = {"type": "object"}, dougong.Sampling(0.5)
    list(Fallback(Params(models)).chat(ASK, (), schema, sampling))
    assert models[0].asked == models[1].asked == [(ASK, (), schema, sampling)]


def test_after_the_first_delta_a_failure_passes_through():
    other, deltas = Model("b"), []
    reply = chat(Model("a", error=Failure("timeout")), other)
    deltas.append(next(reply))
    with pytest.raises(Failure):
        next(reply)
    assert text(deltas) == "a"
    assert not other.asked


def test_a_failure_that_is_not_named_ends_the_call_and_tells_what_failed_before():
    other = Model("b")
    with pytest.raises(Failure, match="auth") as caught:
        list(chat(Model(error=Failure("timeout")), Model(error=Failure("auth")), other))
    assert caught.value.__notes__ == ["before it, of[0] failed: timeout, it is a timeout"]
    assert not other.asked


@pytest.mark.parametrize(
    ("on", "error"),
    [("auth", Failure("auth")), ("Failure", Failure("x")), ("CallError", Failure("x")), ("OSError", TimeoutError())],
)
def test_failures_are_named_by_kind_or_by_class(on, error):
    assert text(chat(Model(error=error), Model("b"), on=[on])) == "b"
    with pytest.raises(type(error)):
        list(chat(Model(error=error), Model("b"), on=["something-else"]))


@pytest.mark.parametrize("on", ["CallError", "DougongError", "Exception"])
def test_a_cancelled_call_is_never_passed_on(on):
    other = Model("b")
    with pytest.raises(Cancelled):
        list(chat(Model(error=Cancelled("stop")), other, on=[on]))
    assert not other.asked


def test_the_last_error_names_all():
    errors = [Failure("timeout"), Failure("rate-limit", 7.0), Failure("rate-limit", 3.0)]
    with pytest.raises(AllFailed) as caught:
        list(chat(*(Model(error=error) for error in errors)))
    error = caught.value
    assert error.message == (
        "all 3 models failed: of[0]: timeout, it is a timeout; of[1]: rate-limit, it is a rate-limit; "
        "of[2]: rate-limit, it is a rate-limit"
    )
    assert (error.errors, error.kind, error.retry_after) == (tuple(errors), "rate-limit", 3.0)
    assert error.__cause__ is errors[-1]


def test_closing_the_reply_closes_the_model_that_answers():
    closed = []

    class Endless:
        def chat(self, *request):
            try:
                while True:
                    yield Delta("x")
            finally:
                closed.append(True)

    reply = chat(Endless())
    next(reply)
    reply.close()
    assert closed == [True]


def test_it_is_built_by_name_and_every_attempt_is_seen_by_the_run():
    model = dougong.make(
        "llm.fallback",
        of=[{"use": "scripted", "replies": [{"error": "down"}]}, {"use": "scripted", "replies": ["up"]}],
        on=["CallError"],
    )
    with dougong.Run().active() as run:
        assert text(model.chat(ASK)) == "up"
    assert [record.call.path for record in run.records] == ["0.0", "0.1", "0"]
    with pytest.raises(dougong.BuildError):
        dougong.make("llm.fallback", of=[])
