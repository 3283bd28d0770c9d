"""Text and tree built together: white space between blocks, spans, what is left out."""

from dougong_loader_text.flow import Flow
from hypothesis import given
from hypothesis import strategies as st


def outline(flow):
    text, tree = flow.finish()
    return text, [(n.kind, n.span.of(text)) for n in tree.walk()][1:]


def test_blocks_are_parted_as_they_ask():
    flow = Flow()
    flow.open("heading", 1)
    flow.add(" A ")
    flow.block()
    flow.add("title")
    flow.close()
    flow.add("loose")
    flow.line()
    flow.add("text")
    flow.open("paragraph")
    flow.add(" more ")
    flow.close()
    assert outline(flow) == (
        "A title\n\nloose\ntext\n\nmore",
        [("heading", "A title"), ("paragraph", "loose\ntext"), ("paragraph", "more")],
    )


def test_cells_without_text_keep_their_place():
    flow = Flow()
    flow.open("table")
    for row in (("", "a", "", "b", ""), ("", "", "")):
        flow.open("row", breaks=1)
        for column, cell in enumerate(row):
            flow.open("cell", column=column)
            flow.add(cell)
            flow.close()
        flow.close()
    flow.close()
    text, tree = flow.finish()
    assert text == "\ta\t\tb"
    (row,) = tree.children[0].children
    assert [cell.span.start for cell in row.children] == [0, 1, 3, 4, 5]


def test_an_item_with_one_paragraph_is_that_paragraph():
    flow = Flow()
    flow.open("list", 1)
    for words in (("one",), ("two", "three")):
        flow.open("item", 1, breaks=1, marker="-")
        for word in words:
            flow.open("paragraph")
            flow.add(word)
            flow.close()
        flow.close()
    assert outline(flow)[1] == [
        ("list", "- one\n\n- two\n\nthree"),
        ("item", "- one"),
        ("item", "- two\n\nthree"),
        ("paragraph", "two"),
        ("paragraph", "three"),
    ]


def test_links_and_pages_are_where_they_stand():
    flow = Flow()
    flow.page(2)
    flow.add("See ", collapse=True)
    flow.link("to")
    flow.add(" here ", collapse=True)
    flow.unlink()
    flow.unlink()
    text, tree = flow.finish()
    page, paragraph = tree.children
    assert (page.kind, len(page.span), page.meta) == ("page", 0, {"page": 2})
    assert paragraph.meta == {"links": [[4, 8, "to"]]}
    assert text == "See here"


KINDS = st.sampled_from(["paragraph", "list", "item", "quote", "heading", "code", "caption"])
ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["close", "block", "line", "link", "unlink"]).map(lambda name: (name,)),
        st.tuples(
            st.just("open"), st.sampled_from(["paragraph", "list", "item", "quote", "heading", "code", "caption"])
        ),
        st.tuples(st.sampled_from(["add", "raw", "inline"]), st.text(alphabet="ab \n\t\u3000", max_size=5)),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_any_order_of_calls_gives_a_tree_that_holds_together(actions):
    flow, depth, said = Flow(), 0, []
    for name, *what in actions:
        if name == "open":
            flow.open(what[0], level=1, marker="•" if what[0] == "item" else "")
            depth += 1
        elif name == "close":
            if depth:
                flow.close()
                depth -= 1
        elif name in ("add", "raw"):
            getattr(flow, name)(what[0])
            said.append(what[0])
        elif name == "inline":
            flow.inline("formula", what[0])
            said.append(what[0])
        elif name == "link":
            flow.link("target")
        else:
            getattr(flow, name)()
    text, tree = flow.finish()
    assert "".join(text.replace("•", "").split()) == "".join("".join(said).split())
    assert tree.span.of(text) == text
    for node in tree.walk():
        at = node.span.start
        for child in node.children:
            assert at <= child.span.start <= child.span.end <= node.span.end
            at = child.span.end


def test_what_is_nested_too_deep_joins_what_is_around_it():
    flow = Flow()
    for _ in range(500):
        flow.open("quote")
    flow.add("deep")
    text, tree = flow.finish()
    depth = 0
    while tree.children:
        (tree,) = tree.children
        depth += 1
    assert (text, depth) == ("deep", 64)
