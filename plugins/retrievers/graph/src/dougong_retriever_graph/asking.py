"""What a chat model is asked, and what its replies come to. What the graph is made of is asked for once, and stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import regex
from dougong import CallError, Message, Part
from dougong_analyzer import language

from dougong_retriever_graph import Params
from dougong_retriever_graph.extract import Extraction, Mention, Relation
from dougong_retriever_graph.resolve import Pair


class Asking:
    """The model of `params`, and its replies by a hash of what it was asked. Without a model, nothing may be asked."""

    def __init__(self, params: Params, told: dict[str, str]) -> None:
        self._params = params
        self.told = told
        self.used: dict[str, set[str]] = {"same": set(), "report": set()}  # replies that the graph as it is rests on

    def ask(self, prompt: str, given: str, *before: str, keep: bool = True) -> str:
        """The reply to the prompt of that name. `before`: replies to the same, then what was said of them, in turn.

        With `keep`, the reply is remembered and not asked for again.
        """
        lang = "zh" if language(given) == "zh" else "en"
        instruction = getattr(self._params, f"{prompt}_{lang}")
        name = hashlib.sha256("\0".join((instruction, given, *before)).encode("utf-8", "surrogatepass")).hexdigest()
        if name not in self.told or not keep:
            data = Message("user", (Part(given, "data"),))
            turns = [Message("assistant" if at % 2 == 0 else "user", text) for at, text in enumerate(before)]
            assert self._params.llm is not None
            reply = "".join(
                delta.text for delta in self._params.llm.chat([Message("system", instruction), data, *turns])
            )
            if not keep:
                return reply
            self.told[name] = reply
        self.used[prompt].add(name)
        return self.told[name]

    def extraction(self, text: str) -> Extraction:
        """What the model finds in `text`, with gleanings. A reply without JSON says nothing; CallError if all are."""
        lang = "zh" if language(text) == "zh" else "en"
        before: list[str] = []
        found: list[Mapping[str, Any]] = []
        for gleaning in range(self._params.gleanings + 1):
            if gleaning:
                before.append(getattr(self._params, f"glean_{lang}"))
            reply = self.ask("extract", text, *before, keep=False)
            before.append(reply)
            if (told := read(reply)) is not None:
                found.append(told)
        if not found:
            raise CallError(
                "the model's replies hold no JSON of entities", hint="use a larger model, or leave llm out for rules"
            )
        entities = [
            (str(e.get("name", "")), str(e.get("type") or "name").casefold())
            for told in found for e in _mappings(told.get("entities"))
        ]  # fmt: skip
        triples = [
            tuple(str(r.get(part, "")) for part in ("subject", "relation", "object"))
            for told in found for r in _mappings(told.get("relations"))
        ]  # fmt: skip
        return placed(text, entities, triples, "model")

    def same(self, pairs: Sequence[Pair]) -> list[bool]:
        """For each pair, whether the model is sure that both name one thing."""
        given = "\n".join(f"{number}. {one} | {two}" for number, (one, two) in enumerate(pairs, 1))
        told = read(self.ask("same", given)) or {}
        listed = told.get("same")
        numbers = {number for number in listed if isinstance(number, int)} if isinstance(listed, list) else set()
        return [number in numbers for number in range(1, len(pairs) + 1)]


def read(reply: str) -> Mapping[str, Any] | None:
    """The JSON object in a reply, fenced or amid words; None if there is none."""
    match = regex.search(r"\{.*\}", reply, regex.DOTALL)
    try:
        told = json.loads(match.group()) if match else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def placed(text: str, entities: Sequence[tuple[str, str]], triples: Sequence[Sequence[str]], by: str) -> Extraction:
    """Names and triples, each at its place in `text`; what is not written there has the whole text as its evidence.

    A triple's evidence is the shortest stretch with both ends.
    """
    kinds = {name.strip(): kind for name, kind in entities if name.strip()}
    for subject, _, other in triples:
        kinds.setdefault(subject.strip(), "name")
        kinds.setdefault(other.strip(), "name")
    where = {name: _places(text, name) for name in kinds if name}
    mentions = [Mention(name, kinds[name], *place) for name in where for place in where[name] or [(0, len(text))]]
    relations = []
    for subject, label, other in triples:
        one, two = where.get(subject.strip()) or [], where.get(other.strip()) or []
        spans = [(min(a, c), max(b, d)) for a, b in one[:20] for c, d in two[:20]]
        start, end = min(spans, key=lambda span: (span[1] - span[0], span)) if spans else (0, len(text))
        if subject.strip() and other.strip():
            relations.append(Relation(subject.strip(), label.strip(), other.strip(), start, end))
    return Extraction(tuple(mentions), tuple(relations), by)


def _places(text: str, name: str) -> list[tuple[int, int]]:
    pattern = r"\s+".join(map(regex.escape, name.split()))
    if name[:1].isascii():
        pattern = rf"(?<!\p{{L}}){pattern}(?!\p{{L}})"
    return [match.span() for match in regex.finditer(pattern, text, regex.IGNORECASE)]


def ready_made(lines: Sequence[str], file: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Lines of ready-made triples, by ``("document", id)`` or ``("text", text)``. Raises LoadError naming the line."""
    from dougong import LoadError, Place

    found: dict[tuple[str, str], dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            by = "document" if "document" in told else "text"
            good = isinstance(told[by], str) and all(
                len(triple) == 3 and all(isinstance(part, str) for part in triple) for triple in told["triples"]
            ) and all(isinstance(name, str) for name in told.get("entities", ()))  # fmt: skip
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise LoadError(
                "the line is no triples of a document or a text", place=Place(file, number),
                hint='write {"document": "a.md", "triples": [["Mercury", "orbits", "the Sun"]]}',
            )  # fmt: skip
        both = found.setdefault((by, told[by]), {"triples": [], "entities": []})
        both["triples"] += told["triples"]
        both["entities"] += told.get("entities", [])
    return found


def as_json(extraction: Extraction) -> list[Any]:
    """For `save`: mentions, relations and who found them, as rows."""
    return [
        [attrs.astuple(m) for m in extraction.mentions],
        [attrs.astuple(r) for r in extraction.relations],
        extraction.by,
    ]


def from_json(rows: Sequence[Any]) -> Extraction:
    return Extraction(tuple(Mention(*row) for row in rows[0]), tuple(Relation(*row) for row in rows[1]), str(rows[2]))
