"""The loader does what every loader must do."""

from __future__ import annotations

import io

from dougong.testing import LoaderConformance
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas


def made(*lines: tuple[float, str, str, float]) -> bytes:
    """A page of lines: height above the foot, text, font, size."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    data = io.BytesIO()
    canvas = Canvas(data, invariant=1)
    for y, text, font, size in lines:
        canvas.setFont(font, size)
        canvas.drawString(72, y, text)
    canvas.save()
    return data.getvalue()


ENGLISH = made((700, "Halls", "Times-Bold", 18), (670, "The hall has seven bays.", "Times-Roman", 10))
CHINESE = made((700, "殿堂", "STSong-Light", 18), (670, "大殿面阔七间。", "STSong-Light", 10))


class TestPDF(LoaderConformance):
    name = "loader.pdf"
    textual = False
    files = {"english.pdf": ENGLISH, "chinese.pdf": CHINESE}
    refused = ({"max_pages": 0}, {"max_megabytes": 0})
    accepted = ({"max_pages": 1},)
    golden = (
        ("english.pdf", [("heading", "Halls"), ("paragraph", "The hall has seven bays.")]),
        ("chinese.pdf", [("heading", "殿堂"), ("paragraph", "大殿面阔七间。")]),
    )
