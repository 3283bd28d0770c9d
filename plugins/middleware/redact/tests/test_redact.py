"""What is personal is found, by checksum where there is one, and comes back whole."""

from __future__ import annotations

import ipaddress
import re

import attrs
import dougong
import pytest
from dougong import CallError, Delta, Message, Part, Run, Secret, ToolCall, ToolResult, Usage, tool
from dougong.journal import Journal
from dougong.kinds import LLM, Tool
from dougong.proxies import proxied
from dougong_middleware_redact import KINDS, Params
from dougong_middleware_redact.find import Finder
from dougong_middleware_redact.redact import Redact
from hypothesis import given, settings
from hypothesis import strategies as st


def found(text, kinds=KINDS, **patterns):
    """Labels and values, in order of their place."""
    seen = []
    Finder(kinds, patterns).replace(text, lambda label, value: seen.append((label, value)) or "")
    return seen


# ---------------------------------------------------------------- what is found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to anna.li+news@mail.example.com.", [("EMAIL", "anna.li+news@mail.example.com")]),
        ("邮箱是zhang_san@例子.中国吗？不，是zhang@example.com。", [("EMAIL", "zhang@example.com")]),
        ("电话13812345678，或＋86 138-1234-5678", [("PHONE", "13812345678"), ("PHONE", "＋86 138-1234-5678")]),
        ("手机：１３８１２３４５６７８", [("PHONE", "１３８１２３４５６７８")]),
        ("身份证11010519491231002X。", [("CN_ID", "11010519491231002X")]),
        ("证号440524188001010014", [("CN_ID", "440524188001010014")]),
        ("Visa 4111 1111 1111 1111, Amex 3782-822463-10005",
         [("CARD", "4111 1111 1111 1111"), ("CARD", "3782-822463-10005")]),
        ("+44 20 7946 0958 and (212) 555-0187, 010-62345678",
         [("PHONE", "+44 20 7946 0958"), ("PHONE", "(212) 555-0187"), ("PHONE", "010-62345678")]),
        ("host 192.168.1.20, 2001:db8::ff00:42:8329, ::ffff:10.0.0.1!",
         [("IP", "192.168.1.20"), ("IP", "2001:db8::ff00:42:8329"), ("IP", "::ffff:10.0.0.1")]),
    ],
)  # fmt: skip
def test_personal_data_are_found_in_both_languages(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "11010519491231002 and 110105194912310021",  # too short; wrong check character
        "11010519490231002X",  # 31 February
        "4111 1111 1111 1112",  # Luhn
        "0000 0000 0000 0000",
        "order 20240115123456, built 2024-01-15 12:30:45",
        "12812345678 and 138123456789",  # no such prefix; a digit too many
        "version 10.20.300.4, 1.2.3.4.5, std::vector, a::b, 12:30:45",
        "x = a @ b; user@localhost",
        "1103年，李诫编修《营造法式》，共34卷、3555条。",
        "pi is 3.14159265358979, and 13812345678.5 is a price",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert found(text) == []


@given(st.integers(1, 9), st.integers(0, 99999), st.dates(), st.integers(0, 999))
@settings(max_examples=200)
def test_of_all_check_characters_the_one_of_iso_7064_is_taken(first, area, born, number):
    """Reference: the weights printed in GB 11643-1999."""
    if born.year < 1800 or born.year > 2100:
        born = born.replace(year=2000, day=min(born.day, 28))
    body = f"{first}{area:05d}{born:%Y%m%d}{number:03d}".replace("-", "")
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    check = "10X98765432"[sum(w * int(d) for w, d in zip(weights, body, strict=True)) % 11]
    taken = [c for c in "0123456789X" if found(body + c, ["cn-id"])]
    assert taken == [check]


@given(st.text("123456789", min_size=12, max_size=18))
@settings(max_examples=200)
def test_of_all_check_digits_the_one_of_luhn_is_taken(body):
    """Reference: the sum of the digits, each second one from the right doubled, digit by digit."""

    def total(number):
        return sum(sum(map(int, str(int(digit) * (1 + place % 2)))) for place, digit in enumerate(reversed(number)))

    body = "4" + body[1:]
    right = [d for d in "0123456789" if total(body + d) % 10 == 0 and len(set(body + d)) > 1]
    assert [d for d in "0123456789" if found(body + d, ["card"])] == right


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
@settings(max_examples=200)
def test_every_address_is_found(address):
    if address.version == 6 and not re.search(r"\d", str(address)):
        return  # words of the letters a to f and colons
    assert [ipaddress.ip_address(value) for _, value in found(f"at {address}, ok", ["ip"])] == [address]


def test_own_patterns_come_first():
    assert found("K-13812345678", CUSTOMER=r"K-\d+") == [("CUSTOMER", "K-13812345678")]


# ---------------------------------------------------------------- there and back


class Echo:
    """Says what it is sent, in pieces of a size, or its own reply; keeps what it was sent."""

    def __init__(self, piece=3, reply=None, calls=(), error=None):
        self.piece, self.reply, self.calls, self.error, self.sent = piece, reply, calls, error, []

    def chat(self, messages, tools=(), schema=None, sampling=None):
        self.sent.append(messages)
        text = self.reply if self.reply is not None else "\n".join(p.text for m in messages for p in m.parts)
        for start in range(0, len(text), self.piece):
            yield Delta(text[start : start + self.piece])
        if self.error:
            raise self.error
        if self.calls:
            yield Delta(tool_calls=self.calls)
        yield Delta(finish="stop", usage=Usage(1, 1))


def chat(echo, messages, **params):
    with Run([Redact(Params(**params))]).active():
        return list(proxied(LLM, echo, "main.llm").chat(messages))


def said(deltas):
    return "".join(delta.text for delta in deltas)


TEXT = "Ask anna@example.com or bob@example.com, 13812345678; anna@example.com first. 问13812345678。"
SENT = "Ask [EMAIL_1] or [EMAIL_2], [PHONE_1]; [EMAIL_1] first. 问[PHONE_1]。"


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_a_model_sees_placeholders_and_the_reply_has_the_values(piece):
    echo = Echo(piece)
    deltas = chat(echo, [Message("user", TEXT)])
    assert echo.sent[0][0].content == SENT
    assert said(deltas) == TEXT
    assert deltas[-1].usage == Usage(1, 1)


values = st.sampled_from(
    ["a@b.cn", "13812345678", "192.168.0.1", "[EMAIL_1]", "[", "]", "[E", "好 ", "x ", "[PHONE_2]"]
)


@given(st.lists(values, max_size=12), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_an_echo_comes_back_as_it_was(pieces, size):
    """Also where the text holds what looks like a placeholder."""
    text = " ".join(pieces)
    echo = Echo(size)
    assert said(chat(echo, [Message("user", text)])) == text
    sent = echo.sent[0][0].content
    assert "a@b.cn" not in sent
    assert "13812345678" not in sent


def test_all_that_a_request_holds_is_replaced():
    call = ToolCall("1", "send", {"to": ["anna@example.com"], "n": 3})
    part = Part("mail anna@example.com", "data", "1", {"headings": ["bob@example.com"]})
    echo = Echo()
    chat(echo, [Message("system", "anna@example.com"), Message("user", (part,)), Message("assistant", "", (call,))])
    _, user, assistant = echo.sent[0]
    assert user.content == (Part("mail [EMAIL_1]", "data", "1", {"headings": ["[EMAIL_2]"]}),)
    assert assistant.tool_calls == (attrs.evolve(call, arguments={"to": ["[EMAIL_1]"], "n": 3}),)


def test_tool_calls_get_their_values_back():
    echo = Echo(reply="", calls=(ToolCall("1", "send", {"to": ["[EMAIL_1]"], "cc": "x [EMAIL_9]"}),))
    deltas = chat(echo, [Message("user", "anna@example.com")])
    assert deltas[0].tool_calls[0].arguments == {"to": ["anna@example.com"], "cc": "x [EMAIL_9]"}


def test_numbers_stay_the_same_while_a_conversation_grows():
    echo, messages = Echo(reply="ok"), [Message("user", "anna@example.com")]
    for text in ("bob@example.com", "anna@example.com and carl@example.com"):
        chat(echo, messages)
        messages.append(Message("user", text))
    chat(echo, messages)
    assert [m.content for m in echo.sent[-1]] == ["[EMAIL_1]", "[EMAIL_2]", "[EMAIL_1] and [EMAIL_3]"]


def test_without_restore_placeholders_stay():
    assert said(chat(Echo(), [Message("user", TEXT)], restore=False)) == SENT


def test_what_was_held_back_is_said_before_an_error():
    echo, got = Echo(reply="to [EMAIL", error=CallError("cut")), []
    with Run([Redact(Params())]).active(), pytest.raises(CallError, match="cut"):
        got.extend(delta.text for delta in proxied(LLM, echo, "main.llm").chat([Message("user", "anna@example.com")]))
    assert "".join(got) == "to [EMAIL"


def test_secrets_go_out_as_stars_and_do_not_come_back():
    key = Secret("the-key-of-the-mill-house")
    echo = Echo()
    assert said(chat(echo, [Message("user", f"use {key.reveal()}")])) == "use ***"


def test_results_of_tools_are_replaced_for_good_where_asked():
    @tool
    def find() -> ToolResult:
        return ToolResult("anna@example.com", {"mail": ["bob@example.com"]})

    under_test = proxied(Tool, find, "main.tools[0]")
    with Run([Redact(Params())]).active():
        assert under_test.call({}).text == "anna@example.com"
    with Run([Redact(Params(results=True))]).active():
        assert under_test.call({}) == ToolResult("[EMAIL]", {"mail": ["[EMAIL]"]})


def test_branches_get_the_same_numbers_on_replay(tmp_path):
    echo = Echo()
    llm = proxied(LLM, echo, "main.llm")

    def go(replay):
        journal = Journal(tmp_path / "run.jsonl")
        try:
            with Run([Redact(Params())], journal=journal, replay=replay).active() as run:
                return run.parallel(
                    [lambda n=n: said(llm.chat([Message("user", f"{n}@example.com")])) for n in range(12)]
                )
        finally:
            journal.close()

    assert go(False) == go(True) == [f"{n}@example.com" for n in range(12)]
    assert len(echo.sent) == 12
    assert "@example.com" not in (tmp_path / "run.jsonl").read_text()


def test_it_is_assembled_by_name():
    assert dougong.make("middleware.redact", patterns={"CUSTOMER": "K-[0-9]+"})
    for patterns, wrong in (({"c": "x"}, "capitals"), ({"C": "("}, "regular"), ({"C": "x*"}, "empty string")):
        with pytest.raises(dougong.ConfigError, match=wrong):
            dougong.make("middleware.redact", patterns=patterns)
