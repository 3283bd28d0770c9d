"""The text loader against the rules of its kind."""

from dougong.testing import LoaderConformance


class TestText(LoaderConformance):
    name = "loader.text"
    golden = ((("two.txt", b"One\nline.\n\nTwo."), [("paragraph", "One\nline."), ("paragraph", "Two.")]),)
    refused = ({"max_megabytes": 0}, {"encoding": "no such"})
    accepted = ({"max_megabytes": 0.001}, {"encoding": "big5"})
    unreadable = (
        ("a.txt", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\0\0\0", "PDF"),
        ("b.txt", b"PK\x03\x04" + bytes(200), "ZIP"),
        ("c.txt", b"\x89PNG\r\n\x1a\n" + bytes(200), "PNG"),
        ("d.txt", b"\x1f\x8b\x08" + bytes(200), "gzip"),
    )
