"""Sentences of English, Chinese and mixed text."""

import pytest
from dougong_analyzer.sentences import last_sentence_end, sentence_ends, sentences
from hypothesis import given, settings
from hypothesis import strategies as st

# Expected sentences, written " | " between them. The English ones are the Golden Rules of the Pragmatic Segmenter
# (https://github.com/diasks2/pragmatic_segmenter, MIT), in its numbering, but for those listed in `DIFFERENT`.
GOLDEN = [
    "Hello World. | My name is Jonas.",
    "What is your name? | My name is Jonas.",
    "There it is! | I found it.",
    "My name is Jonas E. Smith.",
    "Please turn to p. 55.",
    "Were Jane and co. at the party?",
    "They closed the deal with Pitt, Briggs & Co. at noon.",
    "Let's ask Jane and co. | They should know.",
    "They closed the deal with Pitt, Briggs & Co. | It closed yesterday.",
    "I can see Mt. Fuji from here.",
    "St. Michael's Church is on 5th st. near the light.",
    "That is JFK Jr.'s book.",
    "I visited the U.S.A. last year.",
    "I live in the E.U. | How about you?",
    "I live in the U.S. | How about you?",
    "I work for the U.S. Government in Virginia.",
    "I have lived in the U.S. for 20 years.",
    "She has $100.00 in her bag.",
    "She has $100.00. | It is in her bag.",
    "He teaches science (He previously worked for 5 years as an engineer.) at the local University.",
    "Her email is Jane.Doe@example.com. | I sent her an email.",
    "The site is: https://www.example.50.com/new-site/awesome_content.html. | Please check it out.",
    "She turned to him, 'This is great.' she said.",
    'She turned to him, "This is great." she said.',
    'She turned to him, "This is great." | She held the book out to show him.',
    "Hello!! | Long time no see.",
    "Hello?? | Who is there?",
    "Hello!? | Is that you?",
    "Hello?! | Is that you?",
    "We make a good team, you and I. | Did you see Albert I. Jones yesterday?",
    "Thoreau argues that by simplifying one’s life, “the laws of the universe will appear less complex. . . .”",
    '"Bohr [...] used the analogy of parallel stairways [...]" (Smith 55).',
    "One further habit which was somewhat weakened . . . was that of combining words.",
]
# Rules 18, 35 and 41: what rules that know no grammar give there (36 and three more on ellipses differ too).
DIFFERENT = [
    "At 5 a.m. Mr. Smith went to the bank. | He left the bank at 6 P.M. Mr. Smith then went to the store.",
    "She works at Yahoo! | in the accounting department.",
    "I wasn’t really ... well, what I mean...see . . . what I'm saying, the thing is . . . | I didn’t mean it.",
]
CHINESE = [
    "他说：“你好。” | 然后走了。 | 你呢？！ | 我…… | 不知道。",
    "「真的嗎？」 | 他問。 | 『是的！』 | 她說；",
    "（见下文。） | 圆周率是3.14，版本是v2.0.1。 | 第二句！",
    '他说。 | "你好。" | 然后他"走了。"',
    "他来了.我走了!是吗?好".replace(".", ". | ").replace("!", "! | ").replace("?", "? | "),
    "真的...我不知道。".replace("...", "... | "),
    "全角数字３．１４不断。 | 好｡ | 完",
]
MIXED = [
    "我用的是 Python 3.11。 | It is fast. | 很快！ | Really? | 是的。",
    "请看 https://example.com/a?b=c。 | 谢谢 Mr. Smith。",
    "He said “你好。” | Then he left.",
    "Use FastAPI. | 然后运行它。",
]
ABBREVIATIONS = [
    "See Fig. 3 and Eq. 4. | The cat, i.e. Tom (cf. Sec. 2), is no. 5. | I said no. | Then I left.",
    "Dr. J. R. R. Tolkien met Prof. Lewis on Jan. 3. | They talked.",
    "Bring apples, pears, etc. | The shop, Acme Inc. of Ohio, closes at 5 p.m. | He knows.",
    "Smith et al. (2019) and Wu et al. [3] agree. | So do we.",
    "He was born in 1999. | The cat sat.",
    "It costs 3.5 million... and more. | Wait... | Then run.",
    " <unk> was born in 1990 . | He died .",
]


@pytest.mark.parametrize("marked", GOLDEN + DIFFERENT + CHINESE + MIXED + ABBREVIATIONS)
def test_sentences_are_cut_where_a_reader_would(marked):
    expected = [sentence.strip() for sentence in marked.split("|")]
    # Sentences are joined as they are in print: a space after Latin marks, none after full-width ones.
    text = expected[0]
    for sentence in expected[1:]:
        unspaced = marked in CHINESE and text[-1] in ".!?" and sentence[0] >= "\u2e80"
        glued = text[-1] in "。！？；…｡”」』）" or unspaced
        text += sentence if glued else f" {sentence}"
    assert [text[a:b].strip() for a, b in sentences(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wrapped in\nlower case\r\nand on", ["wrapped in\nlower case\r\nand on"]),
        ("A title\nThe text goes on. It\nends.", ["A title\n", "The text goes on. ", "It\nends."]),
        ("one\n\ntwo", ["one\n\n", "two"]),
        ("one\r\n \r\ntwo", ["one\r\n \r\n", "two"]),
        ("- item one\n- item two", ["- item one\n", "- item two"]),
        ("第一回 宴桃园\n话说天下", ["第一回 宴桃园\n", "话说天下"]),
        ("1. First\n2. Second", ["1. First\n", "2. Second"]),
        ("Mr.\nSmith came.", ["Mr.\nSmith came."]),
        ("Mr.\n\nSmith came.", ["Mr.\n\n", "Smith came."]),
        ("a\u2029b\fc", ["a\u2029", "b\f", "c"]),
        ("\n\n  led in", ["\n\n  led in"]),
        ("  ", ["  "]),
        ("", []),
    ],
)
def test_line_breaks_end_a_sentence_unless_it_is_wrapped(text, expected):
    assert [text[a:b] for a, b in sentences(text)] == expected


HOSTILE = st.sampled_from(" \n\r.!?。！？…\"”'）aA1中Mr\u0301\0")
hostile = st.text(alphabet=st.one_of(HOSTILE, st.characters()), max_size=80)


@settings(max_examples=500)
@given(hostile)
def test_sentences_cover_the_text_without_gaps(text):
    spans = sentences(text)
    assert "".join(text[a:b] for a, b in spans) == text
    assert all(a < b for a, b in spans)
    if text.strip():
        assert all(text[a:b].strip() for a, b in spans)


def test_ends_of_a_stretch_are_those_of_the_whole():
    text = "One two. Three e.g. four! 五六。七八“九。”十 Mr. Smith?\n\nEleven. Twelve"
    ends = list(sentence_ends(text))
    for stop in range(len(text) + 1):
        assert list(sentence_ends(text, 0, stop)) == [end for end in ends if end < stop]
    for start in ends:
        assert list(sentence_ends(text, start)) == [end for end in ends if end > start]


@settings(max_examples=300)
@given(hostile, st.integers(0, 90))
def test_the_last_end_is_the_last_of_the_ends(text, stop):
    assert last_sentence_end(text, 0, stop) == [0, *sentence_ends(text, 0, stop)][-1]


@pytest.mark.parametrize("unit", [".", '."', " \n", "a. ", "\n \t", '"。', ". . ", "(", "A.B.", "…", "\r", "Mr. "])
def test_hostile_repetition_takes_linear_time(unit):
    """A quadratic rule would need hours for this."""
    text = unit * 200_000
    assert sentences(text)[-1][1] == len(text)
