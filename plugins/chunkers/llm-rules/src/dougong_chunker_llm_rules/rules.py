"""Rules as data: their form, their check, and the marks that they set in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import re2

MOST_RULES, LONGEST, LARGEST, DEEPEST = 32, 300, 5000, 6
"""Rules (and regexes to ignore) at most; characters and instructions of a regex at most; levels at most. Together they
bound the work for a character of text."""
_LINE = re.compile(r"[^\n]+")


class Unusable(ValueError):
    """Rules that cannot be carried out; the message says why, in the language asked for."""


_REASONS = {
    "json": ("they are no JSON object with a list 'rules'", "它不是含有列表 rules 的 JSON 对象"),
    "keys": ("{what} has an unknown key '{key}'; known are {known}", "{what} 中有未知的键 {key}；可用的键是 {known}"),
    "type": ("{what} must be {type}", "{what} 必须是{type}"),
    "many": ("there are {count} regexes; {most} is the most", "共有 {count} 个 regex，最多 {most} 个"),
    "none": ("there is no rule", "没有一条规则"),
    "long": (
        "{what} is too large; repeat a class by + instead of counting, as in \\p{{L}}+ for \\p{{L}}{{1,40}}",
        "{what} 太大；请用 + 表示重复，不要计数，如用 \\p{{L}}+ 代替 \\p{{L}}{{1,40}}",
    ),
    "regex": ("{what} is no RE2 regex ({reason})", "{what} 不是 RE2 正则表达式（{reason}）"),
    "empty": ("{what} matches an empty line", "{what} 匹配空行"),
    "unmatched": ("{what} finds no line of the documents", "{what} 在文档中找不到任何一行"),
    "every": (
        "{what} finds {found} of {lines} lines, too many to be boundaries",
        "{what} 找到 {lines} 行中的 {found} 行，太多，不能当边界",
    ),
    "coverage": (
        "only {share:.0%} of the text they were tried on lies in passages that rules begin and cut; {least:.0%} must",
        "试用的文字只有 {share:.0%} 位于由规则开始、由规则切分的段落里；至少应有 {least:.0%}",
    ),
}  # fmt: skip
_TYPES = {
    "text": ("a text", "文本"),
    "true or false": ("true or false", "true 或 false"),
    "list": ("a list", "列表"),
    "mapping": ("an object", "对象"),
    "level": (f"a whole number from 1 to {DEEPEST}", f" 1 到 {DEEPEST} 的整数"),
    "max": ("a whole number of 1 or more", "不小于 1 的整数"),
}


def unusable(lang: str, key: str, /, **values: object) -> Unusable:
    if key == "type":
        values["type"] = _TYPES[str(values["type"])][lang == "zh"]
    return Unusable(_REASONS[key][lang == "zh"].format(**values))


@attrs.frozen
class Rule:
    """A line that `regex` finds begins a passage; `level` 1 always, higher ones where a passage is too large."""

    name: str
    level: int
    regex: str
    keep_with_next: bool
    finds: Any = attrs.field(eq=False, repr=False)


@attrs.frozen
class Mark:
    """A place where a passage may begin."""

    start: int
    level: int
    rule: str


@attrs.frozen
class Rules:
    """All rules of a file; `max` is None where it leaves that to the chunker."""

    rules: tuple[Rule, ...]
    ignore: tuple[Any, ...] = ()
    max: int | None = None

    def marks(self, text: str) -> list[Mark]:
        """Where `text` may be cut, by line starts ascending. Time grows linearly with the text."""
        found: list[Mark] = []
        held = 0  # level of the line before, if that is to be kept with the next
        for start, line in lines(text):
            if any(ignored.search(line) for ignored in self.ignore):
                continue
            rule = min((rule for rule in self.rules if rule.finds.search(line)), key=_level, default=None)
            if rule is not None and not (held and rule.level >= held):
                found.append(Mark(start, rule.level, rule.name))
            held = 0 if rule is None else rule.level if rule.keep_with_next else 0
        return found

    def as_data(self) -> dict[str, Any]:
        """The rules as they are written in a file."""
        rules = [attrs.asdict(rule, filter=lambda field, _: field.name != "finds") for rule in self.rules]
        return {"rules": rules, "ignore": [one.pattern for one in self.ignore], "max": self.max}


def lines(text: str) -> Iterator[tuple[int, bytes]]:
    """Start and content, without white space at its ends, of each line that is not blank, in UTF-8."""
    for match in _LINE.finditer(text):
        content = match[0].strip()
        if content:
            yield match.start(), content.encode("utf-8", "replace")


def parse(data: Any, lang: str = "en") -> Rules:
    """Rules from their JSON. Raises Unusable: of another form, or with a regex that is none, or too large, or idle."""
    if not isinstance(data, Mapping) or not isinstance(data.get("rules"), list):
        raise unusable(lang, "json")
    _known(data, "rules ignore max", "the object" if lang == "en" else "对象", lang)
    if not data["rules"]:
        raise unusable(lang, "none")
    ignore = data.get("ignore") or []
    if not isinstance(ignore, list):
        raise unusable(lang, "type", what="ignore", type="list")
    if len(data["rules"]) + len(ignore) > MOST_RULES:
        raise unusable(lang, "many", count=len(data["rules"]) + len(ignore), most=MOST_RULES)
    most = data.get("max")
    if most is not None and (type(most) is not int or most < 1):
        raise unusable(lang, "type", what="max", type="max")
    return Rules(
        tuple(_rule(item, f"rules[{index}]", lang) for index, item in enumerate(data["rules"])),
        tuple(compiled(item, f"ignore[{index}]", lang) for index, item in enumerate(ignore)),
        most,
    )


def _rule(data: Any, what: str, lang: str) -> Rule:
    if not isinstance(data, Mapping):
        raise unusable(lang, "type", what=what, type="mapping")
    _known(data, "name level regex keep_with_next", what, lang)
    name, level, keep = data.get("name", ""), data.get("level", 1), data.get("keep_with_next", False)
    if not isinstance(name, str):
        raise unusable(lang, "type", what=f"{what}.name", type="text")
    if type(level) is not int or not 1 <= level <= DEEPEST:
        raise unusable(lang, "type", what=f"{what}.level", type="level")
    if not isinstance(keep, bool):
        raise unusable(lang, "type", what=f"{what}.keep_with_next", type="true or false")
    finds = compiled(data.get("regex"), f"{what}.regex", lang)
    return Rule(name, level, finds.pattern, keep, finds)


def _known(data: Mapping[str, Any], names: str, what: str, lang: str) -> None:
    for key in data:
        if key not in names.split():
            raise unusable(lang, "keys", what=what, key=str(key)[:40], known=names.replace(" ", ", "))


def compiled(regex: Any, what: str, lang: str = "en") -> Any:
    """A regex as RE2 carries it out: in time linear in the text, whatever it says. Raises Unusable."""
    if not isinstance(regex, str):
        raise unusable(lang, "type", what=what, type="text")
    if len(regex) > LONGEST:
        raise unusable(lang, "long", what=what)
    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(regex, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = (
            error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        raise unusable(lang, "regex", what=f"{what} {regex!r}", reason=reason) from None
    if found.programsize > LARGEST:
        raise unusable(lang, "long", what=what)
    if found.search(b""):
        raise unusable(lang, "empty", what=f"{what} {regex!r}")
    return found


def check_lines(rules: Rules, texts: Sequence[str], lang: str) -> None:
    """Refuse rules that find no line of `texts`, or more than half of them. Raises Unusable."""
    content = [line for text in texts for _, line in lines(text)]
    for index, rule in enumerate(rules.rules):
        found = sum(rule.finds.search(line) is not None for line in content)
        what = f"rules[{index}] {rule.regex!r}"
        if not found:
            raise unusable(lang, "unmatched", what=what)
        if found > max(1, len(content) / 2):
            raise unusable(lang, "every", what=what, found=found, lines=len(content))


def _level(rule: Rule) -> int:
    return rule.level
