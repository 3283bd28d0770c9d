"""The HTML loader against the rules of its kind."""

from dougong.testing import LoaderConformance

PAGE = b"<title>T</title><h1>One</h1><p>Two <b>three</b></p><ul><li>four</ul>"


class TestHTML(LoaderConformance):
    name = "loader.html"
    textual = False
    files = {
        "page.html": PAGE,
        "chinese.htm": "<meta charset=gb2312><h2>第一章</h2><table><tr><td>甲<td>乙</table>".encode("gb18030"),
        "empty.html": b"",
        "broken.html": b"<div><p>a</div></p><table>x<tr>y<td>z",
    }
    golden = (("page.html", [("heading", "One"), ("paragraph", "Two three"), ("list", "• four"), ("item", "• four")]),)
