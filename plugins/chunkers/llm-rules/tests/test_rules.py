"""Rules from a model: refused where they are no good, kept where they are, and carried out with no model at all."""

import json

import dougong
import pytest
from dougong import CallError, ConfigError, Delta, Document, StoreError, Usage
from dougong.run import Run
from dougong_analyzer.graphemes import joints
from dougong_chunker_llm_rules.engine import Engine
from dougong_chunker_llm_rules.learn import SCHEMA, RulesError, excerpt
from dougong_chunker_llm_rules.rules import Unusable, parse
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

WORDS = dougong.make("tokenizer.words")
RECORD = """Patient {n}

Symptoms
Pain in the knee since {n} days, worse when it is cold.

Diagnosis
Strain of the joint. Page {n}
Page {n}
No fracture was seen.

Treatment
Rest, a cold pack, and {n} tablets a day.
"""
CHINESE = """　　患者{n}

　　一、症状
膝盖疼痛已有{n}天，天冷时加重。

　　二、诊断
关节扭伤，未见骨折。

　　三、治疗
休息，冷敷，每天服药{n}片。
"""
GOOD = {
    "rules": [{"name": "part", "level": 1, "regex": "^(Symptoms|Diagnosis|Treatment)$", "keep_with_next": True}],
    "ignore": ["^Page \\d+$"],
    "max": 100,
}
FAMILY = "👩‍👩‍👧‍👦"
PIECES = [
    FAMILY,
    "e\u0301\u0302",
    "\r\n",
    "\n",
    "\n\n",
    "\0",
    " \u0301",
    "\u2029",
    "　",
    "The cat sat. ",
    "他走了。",
    "# H\n",
    "1. x\n",
    "第一章\n",
]
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=30).map("".join)


def documents(count, template=RECORD):
    return [Document(f"d{n}", template.replace("{n}", str(n)), source=f"d{n}.txt") for n in range(count)]


class Model:
    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def chat(self, messages, tools=(), schema=None, sampling=None):
        self.asked.append((messages, schema))
        reply = self.replies.pop(0)
        yield Delta(reply if isinstance(reply, str) else json.dumps(reply), finish="stop", usage=Usage(10, 5))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rules.json"


def made(model, file, **params):
    return dougong.make("chunker.llm-rules", llm=model, rules=file, **params)


def rule(regex, level=1, keep=False, name=""):
    return {"name": name, "level": level, "regex": regex, "keep_with_next": keep}


def cut(text, *rules, size=400, tokenizer=WORDS, ignore=(), most=None):
    data = {"rules": list(rules), "ignore": list(ignore), "max": most}
    engine = Engine(parse(data), size, tokenizer)
    return [piece.span.of(text) for piece in engine.cut(Document("d", text))]


# ---------------------------------------------------------------- once, and never again


def test_the_model_is_asked_once_and_then_never(file):
    model = Model(GOOD)
    path = made(model, file).learn(documents(6))
    assert path == file
    assert len(model.asked) == 1
    run = Run()
    with run.active():
        for document in documents(30):
            found = list(made(Model(), file).chunk(document))
            assert [chunk.text.split("\n")[0] for chunk in found[1:]] == ["Symptoms", "Diagnosis", "Treatment"]
            assert [chunk.meta["boundary"] for chunk in found] == ["none", "rules", "rules", "rules"]
            assert [chunk.meta.get("rule") for chunk in found] == [None, "part", "part", "part"]
    assert run.usage.model_calls == 0


def test_without_a_file_the_first_document_is_the_sample(file):
    model = Model(GOOD)
    chunker = made(model, file)
    found = [list(chunker.chunk(document)) for document in documents(5)]
    assert len(model.asked) == 1
    assert all(len(chunks) == 4 for chunks in found)
    assert list(made(Model(), file).chunk(Document("e", " \n"))) == []


def test_the_file_says_what_it_was_made_for_and_how_it_did(file):
    made(Model(GOOD), file, task="by part", size=300).learn(documents(6))
    data = json.loads(file.read_text("utf-8"))
    assert list(data) == ["version", "made_for", "rules", "ignore", "max", "check"]
    assert {key: data[key] for key in GOOD} == GOOD
    assert data["made_for"]["task"] == "by part"
    assert len(data["made_for"]["sha256"]) == 64
    assert (data["check"]["documents"], data["check"]["held_out"], data["check"]["chunks"]) == (6, 2, 8)
    assert data["check"]["coverage"] > 0.9
    assert sum(data["check"]["sizes_in_tenths_of_max"]) == 8


def test_the_model_sees_no_document_that_is_held_out(file):
    model = Model(GOOD)
    made(model, file).learn(documents(9))
    system, user = model.asked[0][0]
    assert [part.text.split("\n")[0] for part in user.content] == [f"Patient {n}" for n in (0, 1, 3, 4, 6, 7)]
    assert {part.kind for part in user.content} == {"data"}
    assert "up to 400" in system.content
    assert model.asked[0][1] == SCHEMA
    Draft202012Validator(SCHEMA).validate(GOOD)


def test_chinese_documents_get_a_chinese_prompt_and_chinese_rules(file):
    reply = {"rules": [rule(r"^[一二三四五六七八九十]+、\p{Han}+$", keep=True)], "ignore": [], "max": 200}
    model = Model("不行", reply)
    chunker = made(model, file)
    chunker.learn(documents(3, CHINESE))
    assert "请写出一组规则" in model.asked[0][0][0].content
    assert "{" not in model.asked[0][0][0].content.split("只回复 JSON")[0]
    assert "这组规则不能用：它不是" in model.asked[1][0][3].content
    found = list(chunker.chunk(documents(1, CHINESE)[0]))
    assert [chunk.text[:4] for chunk in found] == ["患者0", "一、症状", "二、诊断", "三、治疗"]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Here are rules", "no JSON object"),
        ("[]", "no JSON object"),
        ({"rules": []}, "no rule"),
        ({"rules": GOOD["rules"], "code": "x"}, "unknown key 'code'; known are rules, ignore, max"),
        ({"rules": ["^a"]}, "rules[0] must be an object"),
        ({"rules": [{**rule("^a"), "action": "x"}]}, "rules[0] has an unknown key 'action'"),
        ({"rules": [rule("^a", level=0)]}, "rules[0].level must be a whole number from 1 to 6"),
        ({"rules": [rule("^a", level=True)]}, "rules[0].level"),
        ({"rules": [rule("^a", keep="yes")]}, "rules[0].keep_with_next must be true or false"),
        ({"rules": [rule(5)]}, "rules[0].regex must be a text"),
        ({"rules": [rule("^a", name=1)]}, "rules[0].name must be a text"),
        ({"rules": [rule("(Symptoms")]}, "no RE2 regex (missing ): (Symptoms)"),
        ({"rules": [rule("^(?=Symptoms)")]}, "no RE2 regex (invalid perl operator: (?=)"),
        ({"rules": [rule(r"^(S)\1")]}, r"no RE2 regex (invalid escape sequence: \1)"),
        ({"rules": [rule("\ud800")]}, "no RE2 regex"),
        ({"rules": [rule("a" * 301)]}, "too large"),
        ({"rules": [rule("^\\p{L}{200}")]}, "too large"),
        ({"rules": [rule("((a{100}){100}){100}")]}, "no RE2 regex (invalid repetition size"),
        ({"rules": [rule("^.*")]}, "matches an empty line"),
        ({"rules": [rule(".")]}, "finds 54 of 54 lines, too many"),
        ({"rules": [rule("^Chapter")]}, "'^Chapter' finds no line"),
        ({"rules": [rule("^Treatment$")]}, "lies in passages that rules begin"),
        ({"rules": [*GOOD["rules"]] * 33}, "there are 33 regexes; 32 is the most"),
        ({"rules": GOOD["rules"], "ignore": "x"}, "ignore must be a list"),
        ({"rules": GOOD["rules"], "ignore": ["("]}, "ignore[0] '(' is no RE2 regex"),
        ({"rules": GOOD["rules"], "ignore": ["x*"]}, "ignore[0] 'x*' matches an empty line"),
        ({"rules": GOOD["rules"], "max": 0}, "max must be a whole number of 1 or more"),
        ({"rules": GOOD["rules"], "max": 8}, "lies in passages that rules begin and cut"),
    ],
)  # fmt: skip
def test_bad_rules_go_back_with_the_reason(file, reply, reason):
    model = Model(reply, GOOD)
    made(model, file).learn(documents(6))
    said = model.asked[1][0]
    assert [message.role for message in said] == ["system", "user", "assistant", "user"]
    assert reason in said[3].content
    assert json.loads(file.read_text("utf-8"))["rules"] == GOOD["rules"]


def test_after_the_last_retry_an_error_tells_the_reason_and_nothing_is_written(file):
    model = Model(*["no"] * 3)
    with pytest.raises(RulesError, match=r"after 3 replies: they are no JSON object.*write .*rules\.json by hand"):
        made(model, file, retries=2).learn(documents(3))
    assert isinstance(RulesError(""), CallError)
    assert not list(file.parent.iterdir())


def test_learning_again_replaces_the_file_only_by_rules_that_are_good(file):
    file.write_text("mine")
    with pytest.raises(RulesError):
        made(Model("no"), file, retries=0).learn(documents(3))
    assert file.read_text() == "mine"
    made(Model(GOOD), file).learn(documents(3))
    assert json.loads(file.read_text("utf-8"))["version"] == 1


def test_catastrophic_regexes_are_carried_out_in_linear_time():
    """Backtracking would need longer than the universe lasts."""
    text = "a" * 100_000 + "!\n" + "ab" * 50_000 + "\nend\n"
    for regex in (
        r"^(a+)+$",
        r"^(a|a)+$",
        r"^(a|aa)+$",
        r"(a|b)*a(a|b){20}c",
        r"^(\w+\s?)+$",
        r"(.*)(.*)(.*)(.*)(.*)[!?]z",
    ):
        assert cut(text, rule(regex), rule("^end$"), size=300_000)[-1] == "end"


# ---------------------------------------------------------------- a person's file


def test_a_person_may_write_the_file_and_edit_it(file):
    file.write_text(json.dumps({"version": 1, "note": "by hand", "rules": [{"regex": "^Diagnosis"}]}))
    chunker = made(Model(), file)
    (document,) = documents(1)
    assert [chunk.text.split()[0] for chunk in chunker.chunk(document)] == ["Patient", "Diagnosis"]
    file.write_text(
        json.dumps({"version": 1, "rules": [{"regex": "^Treatment", "level": 3}, {"regex": "^Diagnosis", "level": 3}]})
    )
    assert [chunk.text.split()[0] for chunk in chunker.chunk(document)] == ["Patient", "Diagnosis", "Treatment"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{\n  no", r"rules\.json:2.*no JSON"),
        ("[]", "no JSON object with a list 'rules'"),
        ('{"rules": [{"regex": "a"}]}', "'version' is None"),
        ('{"version": 2, "rules": [{"regex": "a"}]}', "'version' is 2"),
        ('{"version": 1, "rules": [{"regex": "a"}, {"regex": "("}]}', r"rules\[1\]\.regex '\(' is no RE2 regex"),
        ('{"version": 1, "made_for": {"task": "by verse"}, "rules": [{"regex": "a"}]}', "another task, 'by verse'"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_names_it(file, content, reason):
    file.write_text(content)
    with pytest.raises(StoreError, match=reason) as caught:
        list(made(Model(), file).chunk(documents(1)[0]))
    assert caught.value.place.file == str(file)
    assert "delete it" in caught.value.hint


def test_a_folder_in_the_files_place_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="cannot be used"):
        list(made(Model(), tmp_path).chunk(documents(1)[0]))


# ---------------------------------------------------------------- the engine


TEXT = "intro\nA one\na b c\nB two\nd e f\n2 g h i\n2 j k l\nA three\nm n\n"


def test_level_one_always_cuts():
    assert cut(TEXT, rule("^[AB] ")) == ["intro", "A one\na b c", "B two\nd e f\n2 g h i\n2 j k l", "A three\nm n"]


def test_higher_levels_cut_only_what_is_too_large_and_neighbours_join():
    expected = ["intro", "A one\na b c", "B two\nd e f", "2 g h i\n2 j k l", "A three\nm n"]
    assert cut(TEXT, rule("^A "), rule("^[B2] ", level=2), size=8) == expected
    assert cut(TEXT, rule("^A "), rule("^B ", level=2), rule("^2 ", level=3), size=8) == expected
    assert cut(TEXT, rule("^A "), rule("^[B2] ", level=2), size=9)[2:4] == ["B two\nd e f\n2 g h i", "2 j k l"]


def test_what_rules_leave_too_large_is_cut_recursively():
    text = "A x\nOne two three. Four five six. Seven\n"
    assert cut(text, rule("^A "), size=7) == ["A x\nOne two three.", "Four five six. Seven"]


def test_the_rules_own_maximum_counts_too():
    assert cut(TEXT, rule("^A "), rule("^[B2] ", level=2), most=8) == cut(
        TEXT, rule("^A "), rule("^[B2] ", level=2), size=8
    )


def test_a_line_kept_with_the_next_is_not_parted_from_it_but_by_something_coarser():
    text = "# One\n\n## Two\ntext\n## Three\n# Four\nend\n"
    rules = rule("^# ", keep=True), rule("^## ", level=2, keep=True)
    assert cut(text, *rules) == ["# One\n\n## Two\ntext\n## Three", "# Four\nend"]
    assert cut(text, *rules, size=8) == ["# One\n\n## Two\ntext", "## Three", "# Four\nend"]
    assert cut("Q: a\nQ: b\nc\nQ: d\n", rule("^Q:", keep=True)) == ["Q: a\nQ: b\nc", "Q: d"]


def test_ignored_lines_begin_nothing_and_stay_in_the_text():
    text = "A one\nA Page 1\nb\nA two\n"
    assert cut(text, rule("^A "), ignore=["Page \\d"]) == ["A one\nA Page 1\nb", "A two"]


def test_of_several_rules_the_lowest_level_counts():
    marks = parse({"rules": [rule("^A", level=2, name="x"), rule("^A b", name="y")]}).marks("A a\nA b\n")
    assert [(mark.start, mark.level, mark.rule) for mark in marks] == [(0, 2, "x"), (4, 1, "y")]


regexes = st.sampled_from(["^#", r"^\d+\.", "^第", "The", r"\p{Han}", "^[^ ]", "cat|。", r"^.{2}$", "(?i)h"])
rules_ = st.lists(st.builds(rule, regexes, st.integers(1, 3), st.booleans()), min_size=1, max_size=4)


@given(
    hostile,
    rules_,
    st.lists(regexes, max_size=1),
    st.integers(1, 40),
    st.sampled_from(["words", "characters", "bytes"]),
)
@example("", [rule("^#")], [], 5, "words")
@example(FAMILY * 3, [rule("^#")], [], 2, "characters")
@example("\n \u0301# H\n", [rule("^#")], [], 2, "characters")
def test_the_contract_holds_on_hostile_text(text, rules, ignore, size, tokenizer):
    counter, inside, at = dougong.make(f"tokenizer.{tokenizer}"), joints(text), 0
    engine = Engine(parse({"rules": rules, "ignore": ignore}), size, counter)
    for piece in engine.cut(Document("d", text)):
        start, end = piece.span.start, piece.span.end
        assert start < end
        assert not text[at:start].strip(), "only white space is left out"
        assert start >= at, "in order, without overlap"
        assert not inside or not (inside[start] or inside[end]), "no grapheme is cut"
        assert piece.tokens == counter.count(text[start:end])
        assert piece.tokens <= size or len(text[start:end].strip()) == 1 or inside, "only a grapheme may be too large"
        at = end
    assert not text[at:].strip()


json_ = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 9), st.floats(allow_nan=False), st.text(max_size=6), regexes),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["rules", "ignore", "max", "regex", "level", "name", "keep_with_next", "x"]), inner
        ),
    ),
    max_leaves=12,
)


@given(
    st.one_of(
        json_, st.fixed_dictionaries({"rules": st.lists(st.fixed_dictionaries({"regex": json_, "level": json_}))})
    )
)
def test_any_json_is_rules_or_is_refused(data):
    try:
        found = parse(data)
    except Unusable:
        return
    list(Engine(found, 20, WORDS).cut(documents(1)[0]))
    assert parse(found.as_data()) == found


@given(hostile, st.integers(1, 30))
def test_an_excerpt_is_of_the_text(text, tokens):
    for part in excerpt(text * 3, tokens, WORDS).split("\n[...]\n"):
        assert part in text * 3


def test_an_excerpt_has_about_the_tokens_asked_for():
    text = "\n".join(f"line {number} of the text" for number in range(1000))
    assert 280 <= WORDS.count(excerpt(text, 300, WORDS)) <= 320


def test_ten_thousand_marks_are_no_trouble():
    text = "".join(f"A {n}\nB {n}\ntext text\n" for n in range(5_000))
    assert len(cut(text, rule("^A "), rule("^B ", level=2), size=4)) > 5_000


# ---------------------------------------------------------------- in a library


def test_a_library_is_cut_by_rules_and_stops_without_them(tmp_path):
    (tmp_path / "docs").mkdir()
    for document in documents(4):
        (tmp_path / "docs" / f"{document.id}.txt").write_text(document.text)
    (tmp_path / "rag.yaml").write_text(
        "library:\n  use: retriever.library\n  sources: [docs]\n  path: store\n  chunker:\n    use: llm-rules\n"
        "    rules: rules.json\n    llm: {use: scripted, strict: false, replies: ['no']}\n"
    )
    with dougong.load(tmp_path / "rag.yaml") as assembly, pytest.raises(RulesError):
        assembly["library"].sync()
    (tmp_path / "rules.json").write_text(json.dumps({"version": 1, **GOOD}))
    with dougong.load(tmp_path / "rag.yaml") as assembly, assembly.start() as run:
        report = assembly["library"].sync()
        assert (report.added, report.chunks, report.failed) == (4, 16, ())
        assert run.usage.model_calls == 0
        assert assembly["library"].search("fracture")[0].chunk.meta["rule"] == "part"


def test_params_are_checked(file):
    for params in ({"coverage": 2.0}, {"size": 0}, {"retries": -1}, {"prompt_zh": ""}):
        with pytest.raises(ConfigError):
            made(Model(), file, **params)
