"""Constrained decoding: which tokens may come next, and how a reply is closed before its tokens run out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from dougong import CallError, Tool
from llguidance import LLMatcher, LLTokenizer

# No free white space: a weak network would write blanks to the end. The separators are those of json.dumps, which
# chat templates and training texts have.
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_NEVER = np.iinfo(np.int32).max


class Vocabulary:
    """What each token stands for, in bytes. Shared by threads.

    Args:
        size: of the network's output; tokens that the tokenizer lacks stand for nothing.
        ends: tokens that end a reply.
        shown: texts whose tokens are shown though they are control tokens.

    Raises ValueError where the tokenizer is neither byte-level nor has byte tokens.
    """

    def __init__(self, tokenizer: Any, size: int, ends: Sequence[int], shown: str) -> None:
        backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        backend.no_padding()
        backend.no_truncation()
        self.ends = frozenset(ends)
        # Without an end of its own the tokenizer's would be guessed; a token that is no word then stands in for it.
        self.tokens = LLTokenizer(backend.to_str(), n_vocab=size, eos_token=list(ends) or [size - 1])
        self._added = dict(tokenizer.added_tokens_decoder)
        self._known, self._shown, self._decode = len(tokenizer), shown, tokenizer.decode
        self.size = size

    def bytes_of(self, token: int) -> bytes:
        """What `token` adds to a reply; nothing for a control token."""
        added = self._added.get(token)
        if token >= self._known or token in self.ends or (added and added.special and str(added) not in self._shown):
            return b""
        if added:
            return str(added).encode()
        return bytes(self.tokens.decode_bytes([token])) or b"\xff"  # which llguidance marks control tokens with

    def first(self, token: int) -> bytes:
        """`bytes_of` the first token of a reply: some tokenizers (SentencePiece) write a space before it."""
        piece = self.bytes_of(token)
        return piece[1:] if piece[:1] == b" " and self._decode([token])[:1] != " " else piece

    def lark(self, text: str) -> str:
        """`text` as a Lark sequence in which added tokens are tokens and all else is bytes."""
        parts, plain = [], ""
        while text:
            added = next((t for t, a in self._added.items() if text.startswith(str(a))), None)
            if added is None:
                plain, text = plain + text[0], text[1:]
            if added is not None or not text:
                parts += [json.dumps(plain, ensure_ascii=False)] if plain else []
                plain = ""
            if added is not None:
                parts.append(f"<[{added}]>")
                text = text[len(str(self._added[added])) :]
        return " ".join(parts)

    @cached_property
    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """How well each token leads to an end, outside a JSON string and inside one; int32 ``(size,)``, 0 is best."""
        outside, inside = np.full(self.size, _NEVER, np.int32), np.full(self.size, _NEVER, np.int32)
        for token in range(self.size):
            piece = self.bytes_of(token)
            if not piece:
                continue
            if piece in (b"}", b"]"):
                outside[token] = 0
            elif piece in (b'"', b",", b":", b" ", b"0", b"1"):
                outside[token] = 1
            else:  # the rest of a word that is forced: in large steps, and opening nothing
                opens = any(c in b'[{"' for c in piece) or piece[:1].isdigit()
                outside[token] = (1000 if opens else 100) - min(len(piece), 64)
            plain = piece.isalnum() and piece.isascii()
            inside[token] = 0 if piece == b'"' else (100 if plain else 1000) - min(len(piece), 64)
        return outside, inside


class Guide:
    """Holds one reply to a grammar, and sees to it that the reply can always be closed with the tokens that are left.

    `closing` is a way to the end from here, as tokens. A token is taken only if a way to the end remains that is short
    enough; else the first token of `closing` is. So a reply that can be closed at its start is closed at its end.

    Source: llguidance for the grammar; the closing is ours.

    Raises CallError where the grammar cannot be used.
    """

    def __init__(self, words: Vocabulary, grammar: str, limit: int) -> None:
        self._words = words
        self._matcher = LLMatcher(words.tokens, grammar)
        if self._matcher.is_error():
            raise CallError(
                f"the schema cannot be kept to: {' '.join(self._matcher.get_error().split())[:300]}",
                hint="leave out what is named, or use simpler means; tools' parameters are schemas too",
            )
        self._in_string = self._escaped = False
        self._limit = limit
        self.closing = self._way_out(self._matcher, (False, False), limit)
        self.closed = False

    def skip(self, text: str) -> bool:
        """Read `text` that stands already; whether it is a beginning of the grammar."""
        tokens = self._words.tokens.tokenize_str(text)
        if text and self._matcher.try_consume_tokens(tokens) < len(tokens):
            return False
        self._in_string, self._escaped = _scan((self._in_string, self._escaped), text.encode())
        self.closing = self._way_out(self._matcher, (self._in_string, self._escaped), self._limit)
        return True

    def allowed(self) -> np.ndarray:
        """bool ``(size,)``."""
        return _mask(self._matcher, self._words.size)

    def commit(self, token: int, left: int) -> int | None:
        """Take `token`, or another where after it `left` tokens would not do to close the reply; the one taken, or
        None where the reply must end before it."""
        if token in self._words.ends:
            return token
        after, state = self._matcher.deep_copy(), (self._in_string, self._escaped)
        after.consume_token(token)
        state = _scan(state, self._words.bytes_of(token))
        closing = self.closing
        if closing is not None:
            if closing[:1] == [token]:
                closing = closing[1:]
            elif not _closes(after, closing):
                closing = self._way_out(after, state, left)
            if closing is None or len(closing) > left:
                self.closed = True
                if not self.closing:
                    return None
                token, closing = self.closing[0], self.closing[1:]
                after, state = self._matcher.deep_copy(), (self._in_string, self._escaped)
                after.consume_token(token)
                state = _scan(state, self._words.bytes_of(token))
        self._matcher, (self._in_string, self._escaped), self.closing = after, state, closing
        return token

    @property
    def whole(self) -> bool:
        """Whether what was written satisfies the grammar."""
        return bool(self._matcher.is_accepting())

    @property
    def trouble(self) -> str:
        """Why the grammar allows nothing more though it is not satisfied: a limit of llguidance, say."""
        return " ".join((self._matcher.get_error() or self._matcher.stop_reason()).split())[:300]

    @property
    def done(self) -> bool:
        """Whether nothing can follow: the grammar is satisfied, or there is no token that says so."""
        return bool(self._matcher.is_stopped()) or (self.whole and not self._words.ends)

    def _way_out(self, matcher: Any, state: tuple[bool, bool], limit: int) -> list[int] | None:
        """Few tokens after which the grammar is satisfied; None if it takes more than `limit`. Greedy: in a string it
        ends the string, elsewhere it closes brackets, and chooses the shorter where neither is allowed."""
        matcher, way = matcher.deep_copy(), list[int]()
        while not matcher.is_accepting():
            if len(way) >= limit:
                return None
            ranks = np.where(_mask(matcher, self._words.size), self._words.ranks[state[0]], _NEVER)
            best = int(ranks.argmin())
            if ranks[best] == _NEVER or not matcher.consume_token(best):
                return None
            way.append(best)
            state = _scan(state, self._words.bytes_of(best))
        return way


def _mask(matcher: Any, size: int) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
    return bits[:size].astype(bool)


def _closes(matcher: Any, way: list[int]) -> bool:
    matcher = matcher.deep_copy()
    return bool(matcher.try_consume_tokens(way) == len(way) and matcher.is_accepting())


def _scan(state: tuple[bool, bool], piece: bytes) -> tuple[bool, bool]:
    """Whether the end of `piece` is inside a JSON string, and after a backslash in it."""
    string, escaped = state
    for c in piece:
        if escaped:
            escaped = False
        elif string and c == 0x5C:
            escaped = True
        elif c == 0x22:
            string = not string
    return string, escaped


# ---------------------------------------------------------------- grammars


def reply_grammar(schema: Mapping[str, Any]) -> str:
    """JSON that satisfies `schema`."""
    return LLMatcher.grammar_from_lark(f"start: %json {_json(schema)}")


def call_grammar(
    words: Vocabulary,
    tools: Sequence[Tool],
    begin: str,
    end: str,
    key: str,
    *,
    begun: str = "",
    schema: Mapping[str, Any] | None = None,
) -> str:
    """One call of `tools` or several, a line each; or, with `schema`, a reply instead. `begun` stands already."""
    names = " | ".join(f"tool_{number}" for number in range(len(tools)))
    rest = words.lark(begin.removeprefix(begun))
    lines = [
        f"start: calls {'| reply' if schema is not None else ''}",
        f'calls: {rest} body ("\\n" {words.lark(begin)} body)*',
        f"body: ({names}) {words.lark(end)}",
        f"reply: %json {_json(schema)}" if schema is not None else "",
    ]
    for number, tool in enumerate(tools):
        head = f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "{key}": '
        lines.append(f'tool_{number}: {json.dumps(head, ensure_ascii=False)} arguments_{number} "}}"')
        lines.append(f"arguments_{number}: %json {_json(_arguments(tool))}")
    return LLMatcher.grammar_from_lark("\n".join(lines))


def _arguments(tool: Tool) -> dict[str, Any]:
    """The schema of a call's arguments. An object that does not say so is closed: no argument is made up."""
    parameters: dict[str, Any] = {"type": "object", "properties": {}, **tool.parameters}
    if not {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"} & set(parameters):
        parameters.setdefault("additionalProperties", False)
    return parameters


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _COMPACT}, ensure_ascii=False)
