"""The DOCX loader against the rules of its kind."""

import io

import docx
from dougong.testing import LoaderConformance


def _file() -> bytes:
    document = docx.Document()
    document.add_heading("One", 1)
    document.add_paragraph("Two")
    document.add_paragraph("three", style="List Bullet")
    data = io.BytesIO()
    document.save(data)
    return data.getvalue()


class TestDocx(LoaderConformance):
    name = "loader.docx"
    textual = False
    files = {"file.docx": _file()}
    golden = (("file.docx", [("heading", "One"), ("paragraph", "Two"), ("list", "• three"), ("item", "• three")]),)
