"""loader.text passes the kit."""

from __future__ import annotations

from dougong.testing import LoaderConformance


class TestText(LoaderConformance):
    name = "loader.text"
    files = {"gb18030.txt": "斗拱连接柱与梁，不用一根钉子。这是一部书里说的。\n".encode("gb18030") * 4}
    golden = (
        (("two.txt", b"One\nline.\n\nTwo."), [("paragraph", "One\nline."), ("paragraph", "Two.")]),
        (("a.txt", b"one\ntwo\n\n \n three \n"), [("paragraph", "one\ntwo"), ("paragraph", "three")]),
        (("b.txt", "斗拱\r\n\r\n木构\r\n".encode()), [("paragraph", "斗拱"), ("paragraph", "木构")]),
        (("c.txt", b"one\r\rtwo\x0cthree"), [("paragraph", "one"), ("paragraph", "two"), ("paragraph", "three")]),
        (("d.txt", "ça va\n\nété".encode("utf-16")), [("paragraph", "ça va"), ("paragraph", "été")]),
        (("e.txt", b"caf\xe9 cr\xe8me"), [("paragraph", "café crème")], {"encoding": "latin-1"}),
        (("cp1251.txt", "Дом стоит в саду у реки.".encode("cp1251")), [("paragraph", "Дом стоит в саду у реки.")]),
        (("big5.txt", "斗拱是中國傳統建築的結構。".encode("big5")), [("paragraph", "斗拱是中國傳統建築的結構。")]),
        (("gbk.txt", "斗拱是中国传统建筑的结构。".encode("gbk")), [("paragraph", "斗拱是中国传统建筑的结构。")]),
        (("sjis.txt", "これは日本語の文章です。".encode("shift_jis")), [("paragraph", "これは日本語の文章です。")]),
        (("cp1252.txt", "Les cafés d'été à Zürich".encode("cp1252")), [("paragraph", "Les cafés d'été à Zürich")]),
        (("utf16.txt", "plain text, two bytes".encode("utf-16-le")), [("paragraph", "plain text, two bytes")]),
    )
    refused = ({"max_megabytes": 0}, {"encoding": "no such"})
    accepted = ({"max_megabytes": 0.001}, {"encoding": "big5"})
    unreadable = (
        ("a.txt", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\0\0\0", "PDF"),
        ("b.txt", b"PK\x03\x04" + bytes(200), "ZIP"),
        ("c.txt", b"\x89PNG\r\n\x1a\n" + bytes(200), "PNG"),
        ("d.txt", b"\x1f\x8b\x08" + bytes(200), "gzip"),
        ("e.txt", b"caf\xe9", "is not utf-8", {"encoding": "utf-8"}),
        ("f.txt", b"x" * 2000, "max_megabytes", {"max_megabytes": 0.001}),
    )
