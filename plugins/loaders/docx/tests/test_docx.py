"""The DOCX loader: blocks, numbers as Word counts them, tables, notes, revisions, hostile files."""

import contextlib
import io
import random
import zipfile

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_BREAK
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from dougong import LoadError
from dougong_loader_docx import Params
from dougong_loader_docx.docx import DocxLoader
from dougong_loader_docx.formula import tex
from dougong_loader_docx.numbering import Numbering, numeral
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def load(tmp_path, data, name="file.docx", **params):
    file = tmp_path / name
    if isinstance(data, bytes):
        file.write_bytes(data)
    else:
        data.save(file)
    return DocxLoader(Params(**params)).load(file)


def raw(body, **parts):
    """A file with this body, and parts named by their type: ``numbering="<w:numbering>..."``."""
    buffer = io.BytesIO()
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", f"<w:document {W} {R} {M}><w:body>{body}</w:body></w:document>")
        relations = "".join(f'<Relationship Id="{k}" Type="{kinds}{k}" Target="{k}.xml"/>' for k in parts)
        archive.writestr("word/_rels/document.xml.rels", f"<Relationships>{relations}</Relationships>")
        for kind, xml in parts.items():
            archive.writestr(f"word/{kind}.xml", xml)
    return buffer.getvalue()


def p(text="", properties="", run=""):
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r>{run}<w:t>{text}</w:t></w:r></w:p>"


def listed(text, level=0, num=1):
    return p(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{num}"/></w:numPr>')


def numbering(*levels, nums='<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'):
    """One list whose levels are ``(format, text)``, or with more elements as a third."""
    made = "".join(
        f'<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:numFmt w:val="{format}"/>{"".join(more)}'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
        for n, (format, text, *more) in enumerate(levels)
    )
    return f'<w:numbering {W}><w:abstractNum w:abstractNumId="0">{made}</w:abstractNum>{nums}</w:numbering>'


def outline(document, *kinds):
    found = [(n.kind, n.span.of(document.text)) for n in document.tree.walk()][1:]
    return [node for node in found if not kinds or node[0] in kinds]


def check(document):
    assert document.tree.span.of(document.text) == document.text
    for node in document.tree.walk():
        at = node.span.start
        for child in node.children:
            assert at <= child.span.start <= child.span.end <= node.span.end
            at = child.span.end
        if node.kind == "heading":
            assert node.span.of(document.text) == node.title


def test_every_block_of_a_python_docx_file_has_its_exact_span(tmp_path):
    file = docx.Document()
    file.core_properties.title = "The properties"
    file.core_properties.author = "李诫"
    file.add_heading("斗拱 Brackets", 0)
    file.add_heading("First", 1)
    paragraph = file.add_paragraph("Some ")
    paragraph.add_run("bold").bold = True
    paragraph.add_run(" text.").add_break(WD_BREAK.LINE)
    paragraph.add_run("New line.")
    file.add_paragraph("")
    file.add_paragraph("one", style="List Bullet")
    file.add_paragraph("deep", style="List Bullet 2")
    file.add_paragraph("two", style="List Bullet")
    file.add_paragraph("first", style="List Number")
    file.add_paragraph("second", style="List Number")
    file.add_paragraph("Said.", style="Quote")
    file.add_paragraph("Table 1: sizes", style="Caption")
    table = file.add_table(3, 3)
    for row, cells in zip(table.rows, ("Name Size Unit", "a 1 cm", "b 2 cm")):
        for cell, text in zip(row.cells, cells.split()):
            cell.text = text
    table.cell(1, 2).merge(table.cell(2, 2)).text = "cm"
    table.cell(1, 0).merge(table.cell(1, 1)).text = "both"
    file.add_heading("Second", 2)
    document = load(tmp_path, file)
    check(document)
    assert outline(document) == [
        ("heading", "斗拱 Brackets"),
        ("heading", "First"),
        ("paragraph", "Some bold text.\nNew line."),
        ("list", "• one"),
        ("item", "• one"),
        ("list", "• deep"),
        ("item", "• deep"),
        ("list", "• two"),
        ("item", "• two"),
        ("list", "1. first\n2. second"),
        ("item", "1. first"),
        ("item", "2. second"),
        ("quote", "Said."),
        ("paragraph", "Said."),
        ("caption", "Table 1: sizes"),
        ("table", "Name\tSize\tUnit\nboth\t\tcm\nb\t2"),
        ("row", "Name\tSize\tUnit"),
        *(("cell", text) for text in ("Name", "Size", "Unit")),
        ("row", "both\t\tcm"),
        *(("cell", text) for text in ("both", "cm")),
        ("row", "b\t2"),
        *(("cell", text) for text in ("b", "2")),
        ("heading", "Second"),
    ]
    assert [n.level for n in document.tree.walk() if n.kind == "heading"] == [1, 1, 2]
    cells = {n.span.of(document.text): n.meta for n in document.tree.walk() if n.kind == "cell"}
    assert (cells["both"], cells["cm"], cells["b"]) == ({"colspan": 2}, {"rowspan": 2}, {})
    assert (document.meta["title"], document.meta["author"]) == ("The properties", "李诫")
    assert document.id == document.source == str(tmp_path / "file.docx")


def test_headings_are_told_by_style_outline_and_name_in_any_language(tmp_path):
    file = docx.Document()
    custom = file.styles.add_style("Chapter", WD_STYLE_TYPE.PARAGRAPH)
    custom.base_style = file.styles["Heading 2"]
    file.styles.add_style("标题 3", WD_STYLE_TYPE.PARAGRAPH)
    outlined = file.styles.add_style("Deep", WD_STYLE_TYPE.PARAGRAPH)
    outlined.element.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="4"/>'))
    for text, style in (("a", "Chapter"), ("b", "标题 3"), ("c", "Deep"), ("d", "Heading 9"), ("e", "Normal")):
        file.add_paragraph(text, style=style)
    file.paragraphs[-1]._p.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="0"/>'))
    document = load(tmp_path, file)
    found = [(n.title, n.level) for n in document.tree.walk() if n.kind == "heading"]
    assert found == [("a", 2), ("b", 3), ("c", 5), ("d", 6), ("e", 1)]
    assert document.meta["title"] == "a"


# ---------------------------------------------------------------- lists


def test_numbers_are_counted_as_word_counts_them(tmp_path):
    levels = numbering(("decimal", "%1."), ("lowerLetter", "%2)"), ("decimal", "%1.%2.%3"), ("bullet", "\uf0b7"))
    body = "".join(listed(str(n), level) for n, level in enumerate((0, 1, 1, 2, 3, 0, 1, 0, 2, 1)))
    document = load(tmp_path, raw(body, numbering=levels))
    check(document)
    markers = [n.meta["marker"] for n in document.tree.walk() if n.kind == "item"]
    assert markers == ["1.", "a)", "b)", "1.b.1", "•", "2.", "a)", "3.", "3.a.1", "b)"]
    assert document.text.startswith("1. 0\n  a) 1\n  b) 2\n    1.b.1 3\n      • 4\n2. 5")
    assert [(n.level) for n in document.tree.walk() if n.kind == "item"] == [1, 2, 2, 3, 4, 1, 2, 1, 2, 2]


def test_lists_go_on_after_text_and_start_anew_where_told(tmp_path):
    roman = '<w:lvl w:ilvl="0"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1"/></w:lvl>'
    nums = "".join(
        f'<w:num w:numId="{n}"><w:abstractNumId w:val="0"/>{override}</w:num>'
        for n, override in (
            (1, ""),
            (2, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride>'),
            (3, f'<w:lvlOverride w:ilvl="0">{roman}</w:lvlOverride>'),
        )
    )
    body = listed("a") + p("text") + listed("b") + listed("c", num=2) + listed("d", num=2) + listed("e", num=3)
    document = load(tmp_path, raw(body, numbering=numbering(("decimal", "%1."), nums=nums)))
    assert [text for _, text in outline(document, "item")] == ["1. a", "2. b", "7. c", "8. d", "IX e"]


def test_levels_restart_as_told_and_legal_numbers_are_digits(tmp_path):
    levels = numbering(
        ("upperRoman", "%1"),
        ("decimal", "%2", '<w:lvlRestart w:val="0"/>'),
        ("decimal", "%1.%3", "<w:isLgl/>"),
    )
    body = "".join(listed("x", level) for level in (0, 1, 2, 0, 1, 2))
    document = load(tmp_path, raw(body, numbering=levels))
    markers = [n.meta["marker"] for n in document.tree.walk() if n.kind == "item"]
    assert markers == ["I", "1", "1.1", "II", "2", "2.1"]


def test_numbered_headings_have_their_number(tmp_path):
    style = (
        f'<w:styles {W}><w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/><w:pPr><w:numPr>'
        '<w:numId w:val="1"/></w:numPr></w:pPr></w:style></w:styles>'
    )
    levels = numbering(("chineseCountingThousand", "第%1章"))
    body = "".join(p(text, '<w:pStyle w:val="1"/>') for text in ("总则", "附则"))
    document = load(tmp_path, raw(body, numbering=levels, styles=style))
    assert [n.title for n in document.tree.walk() if n.kind == "heading"] == ["第一章 总则", "第二章 附则"]
    check(document)


@pytest.mark.parametrize(
    ("number", "format", "text"),
    [
        (28, "lowerLetter", "bb"),
        (4, "upperLetter", "D"),
        (1994, "upperRoman", "MCMXCIV"),
        (7, "decimalZero", "07"),
        (10, "chineseCounting", "十"),
        (11, "chineseCounting", "十一"),
        (20, "chineseCountingThousand", "二十"),
        (101, "chineseCountingThousand", "一百零一"),
        (110, "chineseCountingThousand", "一百一十"),
        (1001, "japaneseCounting", "一千零一"),
        (12, "chineseLegalSimplified", "壹拾贰"),
        (21, "decimalEnclosedCircle", "㉑"),
        (3, "decimalEnclosedParen", "⑶"),
        (12, "decimalFullWidth", "１２"),
        (2, "ideographTraditional", "乙"),
        (22, "ordinal", "22nd"),
        (13, "ordinal", "13th"),
        (5, "none", ""),
        (5, "klingon", "5"),
    ],
)
def test_numerals(number, format, text):
    assert numeral(number, format) == text


@given(st.lists(st.integers(0, 8), max_size=30))
def test_any_order_of_levels_is_counted(depths):
    """The counts are those of a plain simulation: a level goes up by one, what is below starts anew."""
    texts = (".".join(f"%{n + 1}" for n in range(level + 1)) for level in range(9))
    root = etree.fromstring(numbering(*(("decimal", text) for text in texts)))
    counter, counts = Numbering(root), []
    for depth in depths:
        count = counts[depth] + 1 if depth < len(counts) else 1
        counts = [*[*counts, *[1] * depth][:depth], count]
        assert counter.marker("1", depth) == ".".join(map(str, counts))


# ---------------------------------------------------------------- inside paragraphs


def test_insertions_are_read_and_deletions_are_not(tmp_path):
    body = (
        "<w:p><w:r><w:t>a</w:t></w:r><w:ins><w:r><w:t>b</w:t></w:r></w:ins><w:del><w:r><w:delText>c</w:delText></w:r>"
        "</w:del><w:moveFrom><w:r><w:t>d</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>e</w:t></w:r></w:moveTo></w:p>"
        + p("joined ", "<w:rPr><w:del/></w:rPr>")
        + p("lines")
        + f"<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc>{p('gone')}</w:tc></w:tr>"
        + f"<w:tr><w:tc>{p('kept')}</w:tc></w:tr></w:tbl>"
    )
    assert load(tmp_path, raw(body)).text == "abe\n\njoined lines\n\nkept"


def test_links_fields_and_special_characters(tmp_path):
    file = docx.Document()
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"
    relation = file.part.relate_to("https://example.org/", kind, is_external=True)
    xml = (
        f'<w:p {W} {R}><w:r><w:t>See </w:t></w:r><w:hyperlink r:id="{relation}"><w:r><w:t>this</w:t></w:r>'
        "</w:hyperlink>"
        '<w:r><w:t xml:space="preserve"> or </w:t></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        '<w:r><w:instrText>HYPERLINK "https://b.org"</w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        '<w:r><w:t>that</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
        "<w:r><w:t>, 5</w:t><w:noBreakHyphen/><w:t>6</w:t><w:tab/><w:t>x</w:t><w:softHyphen/>"
        '<w:sym w:font="Arial" w:char="2713"/></w:r>'
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        "<w:r><w:ruby><w:rt><w:r><w:t>pin</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>拼</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>"
    )
    file.element.body.insert(0, parse_xml(xml))
    document = load(tmp_path, file)
    assert document.text == "See this or that, 5-6\tx✓拼(pin)"
    (paragraph,) = document.tree.children
    assert [(document.text[a:b], to) for a, b, to in paragraph.meta["links"]] == [
        ("this", "https://example.org/"),
        ("that", "https://b.org"),
    ]


def test_notes_stand_behind_the_text(tmp_path):
    rule = f'<w:footnote w:type="separator" w:id="0">{p("-")}</w:footnote>'
    foot = f'<w:footnotes {W}>{rule}<w:footnote w:id="2">{p("Foot.")}</w:footnote></w:footnotes>'
    end = f'<w:endnotes {W}><w:endnote w:id="3">{p("End.")}{p("More.")}</w:endnote></w:endnotes>'
    body = (
        '<w:p><w:r><w:t>Text</w:t><w:footnoteReference w:id="2"/></w:r></w:p>'
        '<w:p><w:r><w:t>More</w:t><w:endnoteReference w:id="3"/><w:footnoteReference w:id="9"/></w:r></w:p>'
    )
    document = load(tmp_path, raw(body, footnotes=foot, endnotes=end))
    assert document.text == "Text[1]\n\nMore[i]\n\n[1] Foot.\n\n[i] End.\nMore."
    assert [n.meta.get("note") for n in document.tree.children] == [None, None, "footnote", "endnote"]


def test_comments_headers_and_footers_are_metadata(tmp_path):
    file = docx.Document()
    run = file.add_paragraph("Body").runs[0]
    file.add_comment(run, "Why?", author="A")
    file.sections[0].header.paragraphs[0].text = "Secret"
    file.sections[0].footer.paragraphs[0].text = "Page"
    document = load(tmp_path, file)
    assert document.text == "Body"
    assert document.meta["comments"] == [{"author": "A", "text": "Why?"}]
    assert (document.meta["headers"], document.meta["footers"]) == (["Secret"], ["Page"])


def test_a_text_box_is_read_once_behind_its_paragraph(tmp_path):
    box = f"<w:txbxContent>{p('Boxed')}</w:txbxContent>"
    body = (
        '<w:p xmlns:mc="m"><w:r><w:t>Before</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:drawing>'
        f"{box}</w:drawing></mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"
        + p("After")
    )
    assert load(tmp_path, raw(body)).text == "Before\n\nBoxed\n\nAfter"


def test_code_and_contents_are_one_block_of_lines(tmp_path):
    file = docx.Document()
    for name in ("Source Code", "toc 1"):
        file.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
    for text in ("def f():", "", "    return 1"):
        file.add_paragraph(text, style="Source Code")
    file.add_paragraph("One\t1", style="toc 1")
    file.add_paragraph("Two\t2", style="toc 1")
    document = load(tmp_path, file)
    assert outline(document) == [("code", "def f():\n\n    return 1"), ("contents", "One\t1\nTwo\t2")]


def test_pages_are_those_that_word_noted(tmp_path):
    broken = "<w:lastRenderedPageBreak/>"
    body = p("one") + p("two", run=broken) + p("still two") + p("three", run=broken)
    document = load(tmp_path, raw(body))
    pages = [node for node in document.tree.walk() if node.kind == "page"]
    pages = [(node.meta["page"], document.text[node.span.start :].split("\n")[0]) for node in pages]
    assert pages == [(2, "two"), (3, "three")]


def test_nested_tables_and_blocks_in_cells(tmp_path):
    file = docx.Document()
    table = file.add_table(1, 2)
    cell = table.cell(0, 0)
    cell.text = "a"
    cell.add_paragraph("b", style="List Bullet")
    cell.add_table(1, 1).cell(0, 0).text = "inner"
    table.cell(0, 1).text = "c"
    document = load(tmp_path, file)
    check(document)
    assert document.text == "a\n• b\ninner\tc"
    assert [kind for kind, _ in outline(document)] == [
        *("table", "row", "cell", "paragraph", "list", "item", "table", "row", "cell", "cell")
    ]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("<m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f>", r"\frac{a}{b}"),
        ("<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>", "x^{2}"),
        ("<m:sSub><m:e><m:r><m:t>xy</m:t></m:r></m:e><m:sub><m:r><m:t>i</m:t></m:r></m:sub></m:sSub>", "{xy}_{i}"),
        ("<m:rad><m:deg/><m:e><m:r><m:t>2</m:t></m:r></m:e></m:rad>", r"\sqrt{2}"),
        ("<m:d><m:dPr><m:begChr m:val='['/></m:dPr><m:e><m:r><m:t>a</m:t></m:r></m:e></m:d>", "[a)"),
        (
            "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub><m:r><m:t>i</m:t></m:r></m:sub><m:sup/><m:e><m:r>"
            "<m:t>x</m:t></m:r></m:e></m:nary>",
            r"\sum_{i} x",
        ),
    ],
)
def test_formulas_are_tex(tmp_path, xml, text):
    assert tex(etree.fromstring(f"<m:oMath {M}>{xml}</m:oMath>")) == text
    document = load(tmp_path, raw(f"<w:p><w:r><w:t>Let </w:t></w:r><m:oMath>{xml}</m:oMath></w:p>"))
    assert outline(document) == [("paragraph", f"Let {text}"), ("formula", text)]


# ---------------------------------------------------------------- against python-docx

WORDS = st.text(alphabet="abc 中文\t", min_size=1, max_size=8).filter(str.strip)
STYLES = st.sampled_from(["Normal", "Heading 1", "Heading 3", "Quote", "Caption", "table"])


@settings(max_examples=25)
@given(st.lists(st.tuples(STYLES, WORDS), max_size=8))
def test_all_text_is_there_as_python_docx_gives_it(tmp_path_factory, parts):
    file = docx.Document()
    for style, words in parts:
        if style == "table":
            table = file.add_table(2, 2)
            for number, cell in enumerate(table._cells):
                cell.text = words if number % 2 else ""
        else:
            file.add_paragraph(words, style=style)
    document = load(tmp_path_factory.mktemp("docx"), file)
    check(document)
    wanted = []
    for block in file.iter_inner_content():
        wanted += [block.text] if hasattr(block, "text") else [c.text for row in block.rows for c in row.cells]
    assert "".join(document.text.split()) == "".join("".join(wanted).split())


# ---------------------------------------------------------------- what is refused


def archive(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain text", "is not a Word document"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "old Microsoft Office file; open it in Word and save it as DOCX"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "password; open it in Word"),
        (b"PK\x03\x04 but cut off", "damaged"),
        (archive(**{"xl__workbook.xml": "<x/>"}), "Excel workbook; save it as CSV"),
        (archive(**{"other.txt": "x"}), "without a Word document"),
        (archive(**{"word__document.xml": "<w:document"}), r"damaged: word/document\.xml"),
        (archive(**{"word__document.xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}), "declares entities"),
        (archive(**{"word__document.xml": "<a>" + " " * 3_000_000 + "</a>"}), "unpacks to more"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_cure(tmp_path, data, message):
    with pytest.raises(LoadError, match=rf"file\.docx: .*{message}"):
        load(tmp_path, data, max_megabytes=2)


def test_external_entities_are_not_read(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    xml = f'<!DOCTYPE a [<!ENTITY b SYSTEM "{secret.as_uri()}">]><w:document {W}><w:body>&b;</w:body></w:document>'
    with pytest.raises(LoadError, match="declares entities"):
        load(tmp_path, archive(**{"word__document.xml": xml}))


def test_deep_nesting_is_refused_or_read(tmp_path):
    """libxml2 stops at 256 elements inside one another."""
    depth = 60
    table = "<w:tbl><w:tr><w:tc>" * depth + p("deep") + "</w:tc></w:tr></w:tbl>" * depth
    document = load(tmp_path, raw(table))
    check(document)
    assert document.text == "deep"
    with pytest.raises(LoadError, match="damaged"):
        load(tmp_path, raw("<w:sdt>" * 5000 + "</w:sdt>" * 5000))


def test_a_strict_file_is_read(tmp_path):
    data = raw(p("strict"))
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        xml = made.read("word/document.xml").replace(
            b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
            b"http://purl.oclc.org/ooxml/wordprocessingml/main",
        )
    assert load(tmp_path, archive(**{"word__document.xml": xml})).text == "strict"


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_damaged_file_is_refused_or_read(tmp_path_factory, seed, hits):
    rng = random.Random(seed)
    data = bytearray(raw(listed("a") + p("b"), numbering=numbering(("decimal", "%1."))))
    for _ in range(hits):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with contextlib.suppress(LoadError):
        check(load(tmp_path_factory.mktemp("bad"), bytes(data)))
