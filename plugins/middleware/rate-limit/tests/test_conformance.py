import threading
from contextlib import suppress

import pytest
from dougong import Cancelled, Run
from dougong.testing import MiddlewareConformance
from dougong.testing.runs import Lookup, Model, said, through
from dougong_middleware_rate_limit.window import Window


class TestRateLimit(MiddlewareConformance):
    name = "middleware.rate-limit"
    params = {"rules": [{"name": "*", "calls": 10_000, "seconds": 1.0}], "kinds": ["llm", "tool", "retriever"]}
    refused = ({"rules": []}, {"max_output": 0})
    accepted = ({"rules": [{"calls": 1}]}, {"rules": [{"tokens": 1}]}, {"kinds": []}, {"max_output": 1})

    def test_it_keeps_its_own_promises(self):
        """Waits worked out by hand: of calls, of tokens, of both, and of a request larger than the window."""
        calls = Window(2, None, 10.0)
        assert [self.taken(calls, 0, now) for now in (0.0, 4.0)] == [0.0, 0.0]
        assert [calls.wait_for(0, now) for now in (5.0, 9.5, 10.0, 13.0)] == [5.0, 0.5, 0.0, 0.0]
        assert [self.taken(calls, 0, 10.0), calls.wait_for(0, 13.5), calls.wait_for(0, 14.0)] == [0.0, 0.5, 0.0]
        tokens = Window(None, 100, 10.0)
        assert [self.taken(tokens, 60, 0.0), self.taken(tokens, 40, 1.0)] == [0.0, 0.0]
        assert [tokens.wait_for(n, 2.0) for n in (0, 1, 60, 61, 100, 500)] == [0.0, 8.0, 8.0, 9.0, 9.0, 9.0]
        assert self.taken(tokens, 500, 11.0) == 0.0, "what needs more than the window is let through alone"
        both = Window(3, 50, 10.0)
        assert [self.taken(both, n, float(n)) for n in (1, 2, 3)] == [0.0] * 3
        assert [both.wait_for(n, 4.0) for n in (1, 46, 48)] == [7.0, 8.0, 9.0]
        both.correct(self.entry, 0)
        assert both.wait_for(48, 4.0) == 7.0

        run = Run([self.build(rules=[{"name": "kit.*", "calls": 1, "seconds": 1234.0}], kinds=["llm"])])
        llm, tool = through("llm", Model(lambda *request: "x")), through("tool", Lookup())
        with suppress(Cancelled), run.active():
            assert [said(llm.chat([])), *(tool.call({"word": "a"}).error for _ in range(2))] == ["x", False, False]
            threading.Timer(0.05, run.cancel).start()
            list(llm.chat([]))  # waits for its turn, until the run is cancelled
            pytest.fail("the second call did not wait")
        assert len(run.records[-1].items) == 0

    def taken(self, window, tokens, now):
        wait = window.wait_for(tokens, now)
        self.entry = window.take(tokens, now)
        return wait


class TestTokens(MiddlewareConformance):
    name = "middleware.rate-limit"
    params = {"rules": [{"name": "kit.llm", "tokens": 1_000_000, "seconds": 0.5}], "max_output": 7}
