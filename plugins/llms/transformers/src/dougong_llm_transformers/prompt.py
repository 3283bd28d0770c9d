"""Messages, tools and a schema to the tokens of a prompt, by the chat template."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dougong import CallError, Message, Part, Tool
from dougong_analyzer import language
from jinja2 import TemplateError

from dougong_llm_transformers import CHATML_END, Params

_SEAM = "\ufdd0"  # a noncharacter: no text has it, and none may
_NO_TEXT = re.compile(f"[\ud800-\udfff{_SEAM}]")


class Prompter:
    """Writes prompts with one tokenizer. Shared by threads."""

    def __init__(self, params: Params, tokenizer: Any) -> None:
        self._params, self._tokenizer = params, tokenizer
        own = tokenizer.chat_template
        if isinstance(own, dict):  # several, by name
            own = own.get("default")
        self.template = params.template or own or params.fallback_template
        self.native = bool(re.search(r"\btools\b", self.template))
        self.stop = (CHATML_END,) if not (params.template or own) and CHATML_END in self.template else ()
        marks = sorted((str(token) for token in tokenizer.added_tokens_decoder.values()), key=len, reverse=True)
        self._marks = re.compile("|".join(re.escape(mark) for mark in marks if len(mark) > 1) or r"(?!)")

    def tokens(self, messages: Sequence[Message], tools: Sequence[Tool], schema: Mapping[str, Any] | None) -> list[int]:
        """Token ids of the prompt. Raises CallError where the template refuses the conversation."""
        if not messages:
            raise CallError("the request is empty", hint="give at least one message")
        conversation = self._conversation(messages, tools, schema)
        offered = [_function(tool) for tool in tools] if tools and self.native else None
        try:
            text = self._tokenizer.apply_chat_template(
                conversation,
                tools=offered,
                chat_template=self.template,
                add_generation_prompt=True,
                tokenize=False,
                **self._params.template_args,
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            raise CallError(
                f"the chat template refuses this conversation: {error}",
                hint="change the order or the roles of the messages, or give another template",
            ) from error
        encode = self._tokenizer.backend_tokenizer.encode
        ids = [id for piece in text.split(_SEAM) for id in encode(piece, add_special_tokens=False).ids]
        if not ids:
            raise CallError("the chat template makes an empty prompt", hint="give another template")
        return ids

    def _conversation(
        self, messages: Sequence[Message], tools: Sequence[Tool], schema: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        p = self._params
        words = next((message.text for message in reversed(messages) if message.role == "user"), "")
        chinese = language(words) == "zh"
        notes = []
        if any(message.role == "tool" or any(part.kind != "text" for part in message.parts) for message in messages):
            notes.append(p.data_note_zh if chinese else p.data_note_en)
        if tools and not self.native:
            note = p.tools_note_zh if chinese else p.tools_note_en
            listed = "\n".join(json.dumps(_function(tool)["function"], ensure_ascii=False) for tool in tools)
            notes.append(note.replace("{tools}", listed).replace("{call}", self._call("...", {})))
        if schema is not None:
            note = p.schema_note_zh if chinese else p.schema_note_en
            notes.append(note.replace("{schema}", json.dumps(schema, ensure_ascii=False)))
        conversation = [self._message(message) for message in messages]
        note = self._inert("\n\n".join(filter(None, notes)))
        if note and conversation and conversation[0]["role"] == "system":
            conversation[0]["content"] = f"{conversation[0]['content']}\n\n{note}"
        elif note:
            conversation.insert(0, {"role": "system", "content": note})
        return conversation

    def _message(self, message: Message) -> dict[str, Any]:
        text = self._inert(render(message.parts))
        if message.role == "tool":
            quoted = [Part(part.text, "data", part.source or message.name, part.meta) for part in message.parts]
            text = self._inert(render(quoted))
            if not self.native:
                return {"role": "user", "content": text}
            return {"role": "tool", "name": message.name, "tool_call_id": message.tool_call_id, "content": text}
        if message.name:
            text = f"{self._inert(message.name)}: {text}"
        if not message.tool_calls:
            return {"role": message.role, "content": text}
        if not self.native:
            calls = [self._call(call.name, call.arguments) for call in message.tool_calls]
            return {"role": message.role, "content": "\n".join(filter(None, [text, *calls]))}
        called = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": self._deep(call.arguments)},
            }
            for call in message.tool_calls
        ]
        return {"role": message.role, "content": text, "tool_calls": called}

    def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        call = {"name": name, self._params.arguments_key: dict(arguments)}
        return f"{self._params.call_begin}{self._inert(json.dumps(call, ensure_ascii=False))}{self._params.call_end}"

    def _inert(self, text: str) -> str:
        """`text` in which no control token can be read: a user, a passage or a tool that writes ``<|im_end|>`` ends
        nothing. Such a mark is cut after its first character, and the halves are encoded apart."""
        text = _NO_TEXT.sub("\ufffd", text)
        return self._marks.sub(lambda mark: f"{mark[0][0]}{_SEAM}{mark[0][1:]}", text)

    def _deep(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._inert(value)
        if isinstance(value, Mapping):
            return {self._inert(str(key)): self._deep(item) for key, item in value.items()}
        if isinstance(value, Iterable):
            return [self._deep(item) for item in value]
        return value


def render(parts: Sequence[Part]) -> str:
    """Parts as one text. Data stands between tags that nothing in it can close, labelled by its source.

    ``<data source="1" title="Chapter > Section">...</data>``; the text itself is not changed, so that it can be quoted
    word for word. The same as `llm.openai` sends.
    """
    quoted = "\n".join(part.text for part in parts if part.kind != "text").lower()
    tag = "data"
    while f"</{tag}" in quoted:  # a passage that tries to end its own quotation
        tag = f"data-{hashlib.sha256((tag + quoted).encode('utf-8', 'replace')).hexdigest()[:8]}"
    return "\n\n".join(part.text if part.kind == "text" else _quoted(part, tag) for part in parts)


def _quoted(part: Part, tag: str) -> str:
    labels = {"source": part.source, "title": " > ".join(map(str, part.meta.get("headings", ())))}
    attributes = "".join(f' {name}="{html.escape(" ".join(text.split()))}"' for name, text in labels.items() if text)
    return f"<{tag}{attributes}>\n{part.text}\n</{tag}>"


def _function(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }
