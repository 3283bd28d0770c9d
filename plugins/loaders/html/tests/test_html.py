"""The HTML loader: text as a browser shows it, blocks at their exact place, encodings, hostile pages."""

import codecs
import re
from pathlib import Path

import pytest
from dougong import LoadError
from dougong_loader_html import Params
from dougong_loader_html.html import HTMLLoader, declared, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html


def outline(markup, *kinds, main=False):
    """(kind, text) of the nodes, in document order."""
    text, tree, _ = parse(markup, main)
    return [(n.kind, n.span.of(text)) for n in tree.walk() if n.kind in kinds or not kinds][0 if kinds else 1 :]


def text_of(markup, main=False):
    return parse(markup, main)[0]


def check(text, tree):
    """The invariants of a tree: children in order inside their parent, no white space at the edges, titles exact."""
    assert tree.span.of(text) == text
    for node in tree.walk():
        at = node.span.start
        for child in node.children:
            assert at <= child.span.start <= child.span.end <= node.span.end
            at = child.span.end
        said = node.span.of(text)
        if node.kind == "heading":
            assert said == node.title
        if node.kind not in ("row", "table", "document", "code"):
            assert said == said.strip()
        for start, end, target in node.meta.get("links", ()):
            assert node.span.start <= start < end <= node.span.end
            assert target


def load(tmp_path, data, name="page.html", **params):
    file = tmp_path / name
    file.write_bytes(data)
    return HTMLLoader(Params(**params)).load(file)


PAGE = """<!doctype html><html lang="zh-CN"><head><title> A
 title </title><meta name=description content="About it"></head><body>
<h1>斗拱 <em>Bracket</em> sets</h1>
<p>First   <b>bold</b>text.<br>New line&nbsp;here.</p>
<ul><li>one</li><li>two<ol start=3 type=a><li>three</li><li>four</li></ol></li></ul>
<table><caption>Sizes</caption><thead><tr><th>Name<th>Size</tr></thead>
<tr><td rowspan=2>A<td>1</tr><tr><td>2</tr><tr><td colspan=2>both</tr><tr><td></td><td>x</td></tr></table>
<pre><code class="language-Python">
def f():
\treturn 1  # a &lt; b
</code></pre>
<blockquote>Quoted.<p>Twice.</p></blockquote>
<figure><img src=a.png alt=no><figcaption>A figure</figcaption></figure>
<dl><dt>Term</dt><dd>Description</dd></dl>
<p>See <a href="/other">the other</a> page, <a href="#top">top</a>.</p>
</body></html>"""

BLOCKS = [
    ("heading", "斗拱 Bracket sets"),
    ("paragraph", "First boldtext.\nNew line\xa0here."),
    ("list", "• one\n• two\n  c. three\n  d. four"),
    ("item", "• one"),
    ("item", "• two\n  c. three\n  d. four"),
    ("list", "c. three\n  d. four"),
    ("item", "c. three"),
    ("item", "d. four"),
    ("table", "Sizes\nName\tSize\nA\t1\n\t2\nboth\n\tx"),
    ("caption", "Sizes"),
    ("row", "Name\tSize"),
    ("cell", "Name"),
    ("cell", "Size"),
    ("row", "A\t1"),
    ("cell", "A"),
    ("cell", "1"),
    ("row", "\t2"),
    ("cell", "2"),
    ("row", "both"),
    ("cell", "both"),
    ("row", "\tx"),
    ("cell", ""),
    ("cell", "x"),
    ("code", "def f():\n\treturn 1  # a < b"),
    ("quote", "Quoted.\n\nTwice."),
    ("paragraph", "Quoted."),
    ("paragraph", "Twice."),
    ("caption", "A figure"),
    ("list", "Term\nDescription"),
    ("item", "Term"),
    ("item", "Description"),
    ("paragraph", "See the other page, top."),
]


def test_every_block_has_its_exact_span():
    assert outline(PAGE) == BLOCKS


def test_blocks_say_what_they_are(tmp_path):
    document = load(tmp_path, PAGE.encode())
    check(document.text, document.tree)
    assert document.meta == {"encoding": "utf-8", "title": "A title", "lang": "zh-CN", "description": "About it"}
    by_text = {node.span.of(document.text): node for node in document.tree.walk()}
    assert (by_text["斗拱 Bracket sets"].level, by_text["斗拱 Bracket sets"].title) == (1, "斗拱 Bracket sets")
    assert by_text["def f():\n\treturn 1  # a < b"].title == "python"
    assert (by_text["c. three"].level, by_text["c. three"].meta) == (2, {"marker": "c."})
    assert by_text["Name\tSize"].meta == {"header": True}
    assert by_text["A"].meta == {"rowspan": 2}
    assert by_text["both"].meta == {"colspan": 2}
    assert (by_text["Term"].meta, by_text["Description"].meta) == ({"role": "term"}, {"role": "description"})
    (link,) = by_text["See the other page, top."].meta["links"]
    assert (document.text[link[0] : link[1]], link[2]) == ("the other", "/other")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a <b> b</b>c", "a bc"),
        ("<p> a\n\t b </p>", "a b"),
        ("a<span> </span>b", "a b"),
        ("<div>a</div>b<div>c</div>", "a\nb\nc"),
        ("<p>a</p>b<p>c", "a\n\nb\n\nc"),
        ("a<br><br><br>b", "a\n\nb"),
        ("<div>a<br></div>b", "a\nb"),
        ("a&nbsp;&nbsp;b<p>&nbsp;</p>c", "a\xa0\xa0b\n\nc"),
        ("<p>\u3000\u3000段落</p>", "段落"),
        ("inter&shy;national", "international"),
        ("a<wbr>b", "ab"),
        ("&lt;p&gt; &amp;copy; &copy; &#x4e2d;&hellip;", "<p> &copy; © 中…"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字", "漢(kan)字"),
        ("<pre>\n a\n\n  b  \n</pre>", " a\n\n  b"),
        ("<ol reversed start=2><li>a<li>b</ol>", "2. a\n1. b"),
        ("<ol><li value=9>a<li>b</ol>", "9. a\n10. b"),
        ("<ol type=I start=4><li>a</ol>", "IV. a"),
        ("<ol type=a start=28><li>a</ol>", "ab. a"),
        ("<ul><li><p>a</p></li></ul>", "• a"),
        ("<h2>a<br>b<div>c</div></h2>", "a b c"),
        ("&#xD800;a", "\ufffda"),
    ],
)
def test_white_space_and_characters_are_as_css_shows_them(markup, text):
    assert text_of(markup) == text


@pytest.mark.parametrize(
    "markup",
    [
        "<script>x</script>",
        "<style>x</style>",
        "<template><p>x</p></template>",
        "<noscript>x</noscript>",
        "<p hidden>x</p>",
        "<p style='color:red; DISPLAY : none'>x</p>",
        "<p style='visibility:hidden'>x</p>",
        "<!-- x -->",
        "<svg><text>x</text></svg>",
        "<select><option>x</select>",
        "<textarea>x</textarea>",
        "<dialog>x</dialog>",
        "<iframe>x</iframe>",
        "<p><span class=katex-html>x</span></p>",
    ],
)
def test_what_is_not_shown_is_left_out(markup):
    assert text_of(f"<p>a</p>{markup}<p>b</p>") == "a\n\nb"


@pytest.mark.parametrize(
    "markup",
    [
        '<math alttext="x^2"><mi>x</mi></math>',
        '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">x^2</annotation></semantics></math>',
        '<span style="display:none"><math><mi>x</mi></math></span>'
        '<img class="mwe-math-fallback-image-inline" alt="{\\displaystyle x^2}">',
        '<script type="math/tex">x^2</script>',
        '<span class="katex"><span class="katex-mathml"><math><semantics><mi>x</mi><annotation '
        'encoding="application/x-tex">x^2</annotation></semantics></math></span><b class="katex-html">x2</b></span>',
    ],
)
def test_a_formula_is_its_tex(markup):
    assert outline(f"<p>Let {markup} be.</p>") == [("paragraph", "Let x^2 be."), ("formula", "x^2")]


def test_a_formula_of_its_own_is_a_block():
    markup = '<p>So</p><math display="block" alttext="a=b"><mi>a</mi></math><p>holds</p>'
    assert outline(markup) == [("paragraph", "So"), ("formula", "a=b"), ("paragraph", "holds")]


def test_cells_hold_blocks_and_layout_tables_are_no_tables():
    markup = "<table><tr><td><p>a<p>b<ul><li>c</ul><td>d</table>"
    assert outline(markup, "row", "cell", "item") == [
        ("row", "a\nb\n• c\td"),
        ("cell", "a\nb\n• c"),
        ("item", "• c"),
        ("cell", "d"),
    ]
    assert outline("<table role=presentation><tr><td>a<td>b</table>") == [("paragraph", "a"), ("paragraph", "b")]
    rows = "<table role=none><tr><td>a</td></tr><tr><td><b>b</b></td><td>c</td></tr></table>"
    assert outline(rows) == [("paragraph", "a"), ("paragraph", "b"), ("paragraph", "c")]
    nested = "<table><tr><th>x<td><table><tr><th>y</table></table>"
    assert [kind for kind, _ in outline(nested)] == ["table", "row", "cell", "cell", "table", "row", "cell"]


# ---------------------------------------------------------------- main content

SITE = """<body><header><a href=/>Site</a></header><nav><ul><li><a href=/a>A</a><li><a href=/b>B</a></ul></nav>
<div class=cookie-banner>We use cookies.</div>
{content}
<div id=sidebar>Popular now</div><footer>Imprint</footer></body>"""
PROSE = "<h1>Title</h1><p>" + "A sentence of the article, long enough to count. " * 8 + "</p>"


@pytest.mark.parametrize(
    "wrap", ["<main>{}</main>", "<article>{}</article>", "<div role=main>{}</div>", "<div>{}</div>"]
)
def test_the_main_content_is_kept_and_the_rest_left_out(wrap):
    markup = SITE.format(content=wrap.format(PROSE + "<aside class=note>A note.</aside><aside>Elsewhere</aside>"))
    text = text_of(markup, main=True)
    assert text.startswith("Title\n\nA sentence")
    assert "A note." in text
    for other in ("Site", "cookies", "Popular", "Imprint", "Elsewhere"):
        assert other not in text
        assert other in text_of(markup)


def test_what_was_left_out_is_counted():
    text, _, meta = parse(SITE.format(content=PROSE))
    assert meta["left_out"] == len(text_of(SITE.format(content=PROSE))) - len(text) > 0


def test_a_page_of_links_alone_is_kept_whole():
    markup = "<body><ul>" + "".join(f"<li><a href=/{n}>Page {n}</a>" for n in range(9)) + "</ul></body>"
    assert text_of(markup, main=True) == text_of(markup)
    assert "Page 8" in text_of(markup, main=True)


def test_the_title_is_the_page_s_else_the_first_heading():
    assert parse("<title> A &amp; B </title><h1>C</h1>")[2]["title"] == "A & B"
    assert parse("<meta property='og:title' content=B><h1>C</h1>")[2]["title"] == "B"
    assert parse("<h1>C</h1>")[2]["title"] == "C"
    assert "title" not in parse("<p>c</p>")[2]


# ---------------------------------------------------------------- encodings

CHINESE = "话说天下大势，分久必合，合久必分。"
TRADITIONAL = "話說天下大勢，分久必合，合久必分。"
JAPANESE = "吾輩は猫である。名前はまだ無い。"


@pytest.mark.parametrize(
    ("words", "codec", "label"),
    [
        (CHINESE, "gb18030", "gb2312"),
        (CHINESE, "gb18030", ""),
        (CHINESE, "utf-8", ""),
        (CHINESE, "utf-8", "gb2312"),  # wrong
        (CHINESE, "utf-8", "iso-8859-1"),  # wrong
        (CHINESE, "gb18030", "utf-8"),  # wrong
        (CHINESE, "gb18030", "nonsense"),
        (TRADITIONAL, "big5", "big5"),
        (TRADITIONAL, "big5", ""),
        (JAPANESE, "shift_jis", "Shift_JIS"),
        ("Où dîner ? Déjà vu.", "cp1252", "iso-8859-1"),
        ("“Déjà”", "cp1252", "iso-8859-1"),
    ],
)
def test_encodings_are_told_by_the_page_or_else_by_its_bytes(tmp_path, words, codec, label):
    meta = f'<meta http-equiv="Content-Type" content="text/html; charset={label}">' if label else ""
    document = load(tmp_path, f"<html><head>{meta}</head><body><p>{words}</p></body></html>".encode(codec))
    assert document.text == words


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_comes_before_what_is_declared(tmp_path, codec):
    document = load(tmp_path, f"<meta charset=gb2312><p>{CHINESE}</p>".encode(codec))
    assert document.text == CHINESE


def test_declarations_are_read_as_the_encoding_standard_says():
    assert declared(b"<META CharSet = 'GBK'>") == "gb18030"
    assert declared(b'<?xml version="1.0" encoding="Shift_JIS"?><html>') == "cp932"
    assert declared(b"<meta charset=utf-16>") == "utf-8"
    assert declared(b"<meta charset=klingon>") == declared(b"<p>") == declared(b"<meta charset=base64>") == ""


# ---------------------------------------------------------------- hostile pages


@pytest.mark.parametrize(
    ("tag", "depth"),
    [
        *((tag, 100_000) for tag in ("div", "blockquote")),
        *((tag, 20_000) for tag in ("ul><li", "table><tr><td", "svg><g", "span", "b", "p")),
    ],
)
def test_any_depth_is_read(tag, depth):
    text, tree, _ = parse(f"<{tag}>" * depth + "deep" + f"</{tag}>" * 1000 + "<p>after</p>", main=True)
    check(text, tree)
    if "svg" not in tag:
        assert "deep" in text
        assert "after" in text


def test_a_large_text_without_blocks_is_read():
    text, tree, _ = parse("word " * 400_000, main=True)
    assert len(text) == 5 * 400_000 - 1
    assert [node.kind for node in tree.children] == ["paragraph"]


@given(st.text(alphabet="<>/=&;#x0 \"'!-abpdivtable?\n\0é中\ud800", max_size=80))
def test_nothing_breaks_the_parser(markup):
    for main in (False, True):
        text, tree, _ = parse(markup, main)
        check(text, tree)
        assert not re.search("[\ud800-\udfff]", text)


def test_what_is_not_a_page_is_refused(tmp_path):
    with pytest.raises(LoadError, match=r"page\.html: .*PDF"):
        load(tmp_path, b"%PDF-1.7\n\0\1\2\xff")
    with pytest.raises(LoadError, match=r"more than the 0\.001 MB"):
        load(tmp_path, b"x" * 2000, max_megabytes=0.001)
    with pytest.raises(LoadError, match="check the path"):
        HTMLLoader(Params()).load(tmp_path / "missing.html")
    with pytest.raises(ValueError, match="must be above 0"):
        Params(max_megabytes=0)
    assert load(tmp_path, b"").text == ""


def test_nothing_is_fetched_or_run(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))
    page = b"<img src=http://127.0.0.1:9/x><script src=http://127.0.0.1:9/y></script><p onload=z()>a</p>"
    assert load(tmp_path, page).text == "a"


# ---------------------------------------------------------------- against another parser

WORDS = st.text(alphabet="abc中文é", min_size=1, max_size=6)
INLINE = st.sampled_from(["b", "em", "span", "code", "sub"])
BLOCK = st.sampled_from(["div", "section", "p", "blockquote", "h2", "ul", "table", "pre", "dl"])


def nested(children):
    inline = st.tuples(INLINE, WORDS).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0]}>")

    def wrap(pair):
        tag, parts = pair
        inner = {
            "ul": "".join(f"<li>{part}</li>" for part in parts),
            "table": "".join(f"<tr><td>{part}</td><td>{part[:0]}</td></tr>" for part in parts),
            "dl": "".join(f"<dt>{part}</dt>" for part in parts),
        }.get(tag, " ".join(parts))
        return f"<{tag}>{inner}</{tag}>"

    return st.one_of(inline, st.tuples(BLOCK, st.lists(children, min_size=1, max_size=4)).map(wrap))


@settings(max_examples=150)
@given(st.lists(st.recursive(WORDS, nested, max_leaves=12), max_size=5))
def test_all_visible_text_is_there_once_and_in_order(parts):
    """As lxml (libxml2) reads the same page, but for white space and the bullets that are ours."""
    markup = "<html><body>" + "".join(f"<div>{part}</div>" for part in parts) + "</body></html>"
    text, tree, _ = parse(markup, main=False)
    check(text, tree)
    wanted = "".join(lxml_html.fromstring(markup).text_content().split())
    assert "".join(text.replace("•", "").split()) == wanted


def test_blocks_have_the_text_that_lxml_gives_them():
    root = lxml_html.fromstring(PAGE)
    for kind, path in (
        ("heading", "//h1"),
        ("cell", "//th|//td"),
        ("code", "//pre"),
        ("caption", "//caption|//figcaption"),
    ):
        wanted = [" ".join(node.text_content().split()) for node in root.xpath(path)]
        assert [" ".join(text.split()) for _, text in outline(PAGE, kind)] == wanted


def test_a_byte_order_mark_in_the_text_is_kept_out(tmp_path):
    document = load(tmp_path, codecs.BOM_UTF8 + b"<p>a</p>")
    assert (document.text, document.source) == ("a", str(Path(tmp_path / "page.html")))
