from pathlib import Path

from dougong.testing import ChunkerConformance


class TestParagraphs(ChunkerConformance):
    name = "chunker.paragraphs"
    plugin = Path(__file__).with_name("paragraphs.py")  # an installed distribution needs no such line
    params = {"size": 40}
    headings = False  # its chunks do not tell the headings above them
    refused = ({"size": 0},)
    golden = (
        ("One.\n\nTwo.\n\nThree.", ["One.\n\nTwo.", "Three."], {"size": 6}),
        ("斗拱。\n\n木构。", ["斗拱。", "木构。"], {"size": 2}),
    )
