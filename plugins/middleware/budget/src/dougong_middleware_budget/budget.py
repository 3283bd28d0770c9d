"""The middleware: reserve, let the call through, settle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from typing import Any

import attrs
from dougong import Call, CallError, Delta, Diverged, Exhausted, Result, Sampling, Usage, estimate_tokens
from dougong.run import active_run

from dougong_middleware_budget import LIMITS, Params, Price, estimate
from dougong_middleware_budget.ledger import Ledger

Items = Iterator[Delta | Result]
_NAMES = {"model_calls": "model calls", "tool_calls": "tool calls"}


class Budget:
    """Holds a run and all its children to one budget.

    A call reserves its maximum before it begins (calls: 1; tokens: the estimated input and ``max_tokens``) and is
    refunded by its real `Usage`; a stream that was cut is charged for its input and what came. A call that does not
    fit is not made: `Exhausted`, whose `what` names the limit. Whether it fitted is written into the journal, since
    which of several branches comes too late is chance; so a resumed run finds the same account.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._limits = {name: getattr(params, name) for name in LIMITS if getattr(params, name) is not None}
        self._count = params.tokenizer.count if params.tokenizer is not None else estimate_tokens

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        """The call's items. Raises Exhausted before it begins, or in mid-stream where its time is up."""
        run = active_run()
        assert run is not None, "middleware stands in a run"
        ledger: Ledger = run.memory(self, lambda: Ledger(self._limits))
        call, need, worst = self._reserved(call)
        live = False

        def begin() -> dict[str, Any]:
            nonlocal live
            live = True
            return ledger.begin(call.path, call.kind, need, worst, run.check)

        verdict = run.outside("budget", begin)
        if not live:
            ledger.begin_again(call.path, call.kind, need, worst, verdict)
        if verdict["out"]:
            raise self._exhausted(verdict["out"], ledger)
        text, usage, begun = [], None, False
        try:
            source = proceed(call)
            with closing(source):  # type: ignore[type-var]  # what core hands on are generators
                for item in source:
                    begun = True
                    if isinstance(item, Delta):
                        text.append(item.text + "".join(f"{c.name} {dict(c.arguments)}" for c in item.tool_calls))
                        usage = item.usage or usage
                    ledger.resting(call.path, True)
                    yield item
                    ledger.resting(call.path, False)
                    if live and call.kind == "llm" and usage is None and ledger.out_of_time():
                        raise self._exhausted("seconds", ledger)
        except Diverged:
            # A stream that is read back ends where it was cut. Within the run it was cut by the lines above.
            if begun and not live and "seconds" in self._limits:
                raise self._exhausted("seconds", ledger) from None
            raise
        finally:
            ledger.end(call.path, self._took(call, need, "".join(text), usage, begun))

    # ------------------------------------------------------------ what a call takes

    def _reserved(self, call: Call) -> tuple[Call, dict[str, float], dict[str, float]]:
        """The call as it goes out, its estimate and its worst case in tokens and money."""
        limited = [name for name in ("tokens", "money") if name in self._limits]
        if call.kind != "llm" or not limited:
            return call, {}, {}
        sampling = call.arguments.get("sampling") or Sampling()
        out, price = sampling.max_tokens, self._price(call)
        if out is None:
            out = self._params.max_output
            sampling = attrs.evolve(sampling, max_tokens=out)
            call = attrs.evolve(call, arguments={**call.arguments, "sampling": sampling})
        likely, most = estimate.request(call.arguments, self._count)
        need = {"tokens": likely + out, "money": _cost(price, likely, out) if price else 0.0}
        # What has no price may cost anything: it is let through alone.
        worst = {"tokens": most + out, "money": _cost(price, most, out) if price else float("inf")}
        return call, {name: need[name] for name in limited}, {name: worst[name] for name in limited}

    def _took(
        self, call: Call, need: dict[str, float], text: str, usage: Usage | None, begun: bool
    ) -> dict[str, float]:
        if not need or (usage is None and not begun):  # a request that failed before its reply is not billed
            return {}
        price = self._price(call)
        if usage is None:
            read, written, money = estimate.request(call.arguments, self._count)[0], self._count(text), 0.0
        else:
            read, written, money = usage.input_tokens, usage.output_tokens, usage.money
            if money and "money" in need and usage.currency != self._params.currency:
                if price is None:
                    raise CallError(
                        f"the budget is in {self._params.currency}, {call.name} costs {usage.currency}",
                        hint="set the budget's currency, or give it this model's prices",
                    )
                money = 0.0
        took = {"tokens": read + written, "money": money or (_cost(price, read, written) if price else 0.0)}
        return {name: took[name] for name in need}

    def _price(self, call: Call) -> Price | None:
        return next((price for name, price in self._params.prices.items() if fnmatchcase(call.name, name)), None)

    def _exhausted(self, what: str, ledger: Ledger) -> Exhausted:
        unit = self._params.currency if what == "money" else _NAMES.get(what, what)
        used = f"{ledger.used[what]:.6g} of {self._limits[what]:.6g} {unit} are used"
        return Exhausted(
            f"the budget ran out of {_NAMES.get(what, what)}: {used}, which leaves too little for this call",
            what=what,
            hint=f"raise {what} in middleware.budget, or ask for less",
        )


def _cost(price: Price, read: float, written: float) -> float:
    return (read * price.input + written * price.output) / 1e6
