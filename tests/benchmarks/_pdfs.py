"""PDF documents of known structure: a small typesetter that notes what it prints and where.

Each seed draws page size, fonts, columns, language, the style of headings, running lines, paragraphs and tables, and
the way the text is painted (a line, a word or a character at a time), so that no two documents look alike. `make`
writes one document and gives back the truth about it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import attrs
from reportlab.lib.pagesizes import A4, A5, B5, LETTER
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas


def _split(words: str) -> list[str]:
    return words.split()


EN = _split(
    "bracket timber column beam roof eave tenon mortise joint carpenter temple hall survey drawing module "
    "grade span load corner lintel purlin rafter craft dynasty manual ornament bearing block structure "
    "measurement restoration monument interlocking earthquake proportion standard workshop apprentice "
    "inscription calculation archaeologist documentation representation configuration classification wall "
    "gate tower court stone brick tile paint"
)
VERBS = _split("carries supports rests joins measures describes precedes resembles replaces strengthens records shows")
ADJECTIVES = _split("old heavy slender painted regional well-known load-bearing early complete official efficient")
ZH = _split(
    "斗拱 木构 建筑 屋檐 柱子 梁架 营造 法式 宋代 唐代 工匠 尺度 材分 制度 构件 榫卯 承托 "
    "重量 出跳 华拱 下昂 铺作 殿堂 厅堂 测绘 修缮 佛寺 古塔 彩画 瓦作 石作 台基 结构 抗震 "
    "比例 记载 图样 等级 功限 料例 学者 研究 传统 地区"
)
ZH_VERBS = _split("支撑 记录 说明 影响 决定 采用 保留 连接 分析 表现")
NUMERALS = "一二三四五六七八九十"
NO_START, NO_END = set("，。、；：？！）”》,.;:?!)"), set("（“《(")
SANS = {"regular": "Helvetica", "bold": "Helvetica-Bold"}
SERIF = {"regular": "Times-Roman", "bold": "Times-Bold"}
FONT_FOLDERS = ("/usr/share/fonts/truetype/liberation", "/usr/share/fonts/truetype/dejavu")
EMBEDDED = {"LiberationSerif": "-Regular", "LiberationSans": "-Regular", "DejaVuSerif": "", "DejaVuSans": ""}


@attrs.define
class Truth:
    """What a document says and where. Pages count from 1.

    headings: (level, text, page). running: (page, text) of each printed header and footer line. sentences: (text, page
    of its first word). cells: (row, column, text) of all tables. contents: lines of the printed contents page.
    """

    language: str
    pages: int = 0
    headings: list[tuple[int, str, int]] = attrs.field(factory=list)
    running: list[tuple[int, str]] = attrs.field(factory=list)
    sentences: list[tuple[str, int]] = attrs.field(factory=list)
    paragraphs: list[str] = attrs.field(factory=list)
    items: list[str] = attrs.field(factory=list)
    cells: list[tuple[int, int, str]] = attrs.field(factory=list)
    captions: list[str] = attrs.field(factory=list)
    contents: list[str] = attrs.field(factory=list)


@attrs.define
class Word:
    text: str
    space: bool  # whether a space stands before it
    sentence: int = -1
    raised: bool = False


def make(seed: int, path: Path) -> Truth:
    """Write the document of `seed`. Two passes where it prints its contents, so that the page numbers are right."""
    first = _Typesetter(seed, path, {}, 1)
    first.run()
    second = _Typesetter(seed, path, {text: page for _, text, page in first.truth.headings}, first.truth.pages)
    second.run()
    return second.truth


class _Typesetter:
    def __init__(self, seed: int, path: Path, pages_of: dict[str, int], total: int) -> None:
        r = self.r = random.Random(seed)
        self.pages_of, self.total = pages_of, total
        self.language = ("en", "zh", "mixed")[seed % 3]
        self.truth = Truth(self.language)
        self.size = r.choice([A4, LETTER, B5, A5, (A4[1], A4[0])] if seed % 5 else [A4, LETTER])
        width, height = self.size
        self.columns = 2 if width > 480 and r.random() < 0.45 else 1
        self.left, self.right = r.uniform(0.09, 0.16) * width, r.uniform(0.09, 0.16) * width
        self.top, self.bottom = r.uniform(0.11, 0.14) * height, r.uniform(0.11, 0.14) * height
        self.gutter = r.uniform(14, 28)
        self.body = r.choice([9, 9.5, 10, 10.5, 11] if self.columns == 2 else [9.5, 10, 11, 12])
        self.leading = self.body * r.uniform(1.2, 1.55)
        self.fonts = self._latin() if self.language == "en" else self._chinese()
        self.paint = r.choice(["line", "line", "word", "character"])
        self.justify = r.random() < 0.6
        self.indented = r.random() < (0.75 if self.language == "zh" else 0.5)
        self.gap = 0.0 if self.indented else self.leading * r.uniform(0.45, 0.9)
        self.hyphenate = self.language == "en" and r.random() < 0.6
        self.numbering = r.choice(["none", "decimal", "chapter"])
        self.same_size_bold = self.language == "en" and r.random() < 0.3
        self.ratio = (r.uniform(1.9, 2.3), r.uniform(1.4, 1.65), r.uniform(1.15, 1.28))
        self.header = r.choice(["none", "same", "odd-even", "chapter"])
        self.footer = r.choice(["number", "number", "dashes", "of", "text", "none"])
        self.first_differs = r.random() < 0.6
        self.title = r.random() < 0.8
        self.contents = r.random() < 0.4
        self.leaders = r.choice([".", " .", "·"])
        self.outline = r.choice(["none", "none", "all", "all", "chapters"])
        self.table_style = r.choice(["grid", "booktabs", "plain", "zebra"])
        self.stamp = r.random() < 0.25
        self.footnotes = r.random() < 0.4
        self.chapter_breaks = r.random() < 0.3
        self.canvas = Canvas(str(path), pagesize=self.size, invariant=1)
        self.page, self.column, self.y = 1, 0, height - self.top
        self.column_top = self.y
        self.serial = self.counter = self.notes = 0
        self.chapter = ""
        self.pending: list[str] = []  # footnotes of this page
        self.floor = self.bottom

    # ------------------------------------------------------------ fonts and words

    def _latin(self) -> dict[str, str]:
        family = self.r.choice(["sans", "serif", *EMBEDDED])
        for folder in FONT_FOLDERS:
            regular = Path(folder) / f"{family}{EMBEDDED.get(family, '')}.ttf"
            if regular.exists():
                from reportlab.pdfbase.ttfonts import TTFont

                pdfmetrics.registerFont(TTFont(family, str(regular)))
                pdfmetrics.registerFont(TTFont(f"{family}-Bold", str(Path(folder) / f"{family}-Bold.ttf")))
                return {"regular": family, "bold": f"{family}-Bold"}
        return SERIF if "erif" in family else SANS

    def _chinese(self) -> dict[str, str]:
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
        return {"regular": "STSong-Light", "bold": "STSong-Light"}

    def _font(self, text: str, weight: str) -> str:
        if self.language == "mixed" and text.isascii():
            return SERIF[weight]
        return self.fonts[weight]

    def _width(self, text: str, size: float, weight: str = "regular") -> float:
        return pdfmetrics.stringWidth(text, self._font(text, weight), size)

    def phrase(self, least: int, most: int) -> str:
        """A few words without punctuation, no two alike: a running number makes the last one unique."""
        self.serial += 1
        number = self.r.randint(least, most)
        if self.language == "zh" or (self.language == "mixed" and self.r.random() < 0.6):
            return "".join(self.r.sample(ZH, number)) + NUMERALS[self.serial % 10] + NUMERALS[self.serial // 10 % 10]
        words = self.r.sample(EN, number)
        return " ".join(words).capitalize() + " " + _code(self.serial)

    def sentence(self) -> str:
        self.serial += 1
        r = self.r
        if self.language == "zh" or (self.language == "mixed" and r.random() < 0.5):
            latin = f"{r.choice(EN)}" if self.language == "mixed" and r.random() < 0.5 else ""
            start = "".join(r.sample(ZH, r.randint(2, 4)))
            middle = "".join(r.sample(ZH, r.randint(3, 7)))
            end = f"，编号第{self.serial}的"
            return f"{start}{r.choice(ZH_VERBS)}{latin}{middle}{end}{r.choice(ZH)}{r.choice('。。。？！')}"
        words = [r.choice(["The", "This", "Each", "That"]), r.choice(ADJECTIVES), r.choice(EN), r.choice(VERBS), "the"]
        words += [*(r.choice(EN) for _ in range(r.randint(2, 9))), "of", r.choice(ADJECTIVES), f"item {self.serial}"]
        return " ".join(words) + r.choice("....?")

    def words(self, text: str, sentence: int = -1) -> list[Word]:
        found: list[Word] = []
        space = False
        for character in text:
            if character == " ":
                space = True
            elif character > "\u2e80" or not found or space or found[-1].text[-1] > "\u2e80":
                found.append(Word(character, space, sentence))
                space = False
            else:
                found[-1].text += character
        return found

    # ------------------------------------------------------------ pages

    @property
    def x(self) -> float:
        return self.left + self.column * (self.measure + self.gutter)

    @property
    def measure(self) -> float:
        inner = self.size[0] - self.left - self.right
        return (inner - self.gutter * (self.columns - 1)) / self.columns

    def room(self, height: float) -> None:
        """Go on to the next column or page unless `height` is left."""
        if self.y - height < self.floor:
            self.next_column()

    def next_column(self) -> None:
        if self.column + 1 < self.columns:
            self.column += 1
            self.y = self.column_top
        else:
            self.new_page()

    def new_page(self) -> None:
        self.finish_page()
        self.canvas.showPage()
        self.page += 1
        self.column, self.y = 0, self.size[1] - self.top
        self.column_top, self.floor = self.y, self.bottom

    def finish_page(self) -> None:
        y = self.bottom - 2
        if self.pending:
            y = self.floor - 8
            self.canvas.line(self.left, y + 4, self.left + 90, y + 4)
        for number, note in self.pending:
            mark_size = self.body * 0.5
            self.put(number, self.left, y - 7 + self.body * 0.3, mark_size)
            self.put(note, self.left + 6, y - 7, self.body * 0.75)
            y -= self.body
        self.pending = []
        if not (self.page == 1 and self.first_differs):
            self.running_lines()
        if self.stamp and self.page == 1:
            self.canvas.saveState()
            self.canvas.rotate(90)
            self.canvas.setFont("Times-Roman", 14)
            self.canvas.drawString(self.size[1] * 0.3, -20, "arXiv:0000.00000v1 [cs.CL] 1 Jan 2026")
            self.canvas.restoreState()

    def running_lines(self) -> None:
        width, height = self.size
        name = "Journal of Timber Studies, Vol. 7" if self.language == "en" else "木构建筑研究　第七卷"
        header = {"none": "", "same": name, "chapter": self.chapter or name}.get(self.header)
        if header is None:
            header = name if self.page % 2 else ("A. Author and B. Writer" if self.language == "en" else "张三　李四")
        size = self.body * 0.85
        y = height - self.top * 0.5
        if header:
            x = self.left if self.page % 2 else width - self.right - self._width(header, size)
            self.put(header, x, y, size)
            self.canvas.line(self.left, y - 4, width - self.right, y - 4)
            self.truth.running.append((self.page, header))
        chinese = self.language == "zh"
        text = {
            "number": str(self.page),
            "dashes": f"- {self.page} -",
            "of": f"第 {self.page} 页 共 {self.total} 页" if chinese else f"Page {self.page} of {self.total}",
            "text": f"{name} | {self.page}",
            "none": "",
        }[self.footer]
        if text:
            self.put(text, (width - self._width(text, size)) / 2, self.bottom * 0.4, size)
            self.truth.running.append((self.page, text))

    # ------------------------------------------------------------ painting

    def put(self, text: str, x: float, y: float, size: float, weight: str = "regular", spread: float = 0.0) -> None:
        """Paint a text, in one operation or several; `spread` is added behind each space, or character of Chinese."""
        if self.paint == "line" and self.language != "mixed" and not spread:
            pieces = [text]
        elif self.paint == "character":
            pieces = list(text)
        else:
            pieces = []
            for word in self.words(text):
                pieces += [" "] * word.space + [word.text]
        for piece in pieces:
            font = self._font(piece, weight)
            if piece != " " or self.paint == "line":
                self.canvas.setFont(font, size)
                self.canvas.drawString(x, y, piece)
            x += pdfmetrics.stringWidth(piece, font, size)
            if piece == " " or (spread and piece[-1] > "\u2e80"):
                x += spread

    def lines(self, words: list[Word], size: float, weight: str, first: float, width: float) -> Iterator[list[Word]]:
        """Break words into lines of `width`, the first one shorter by `first`."""
        line: list[Word] = []
        used, limit = 0.0, width - first
        queue = list(reversed(words))
        while queue:
            word = queue.pop()
            space = self._width(" ", size, weight) if word.space and line else 0.0
            wide = self._width(word.text, size * (0.6 if word.raised else 1), weight)
            if (
                not line
                or used + space + wide <= limit
                or word.raised
                or (word.text in NO_START and len(word.text) == 1)
            ):
                line.append(word)
                used += space + wide
                continue
            if self.hyphenate and weight == "regular" and word.text.isalpha() and len(word.text) > 7:
                for cut in range(len(word.text) - 3, 2, -1):
                    if used + space + self._width(word.text[:cut] + "-", size, weight) <= limit:
                        line.append(Word(word.text[:cut] + "-", word.space, word.sentence))
                        word = Word(word.text[cut:], False, word.sentence)
                        break
            if "-" in word.text[1:-1] and used + space + self._width(word.text.partition("-")[0] + "-", size) <= limit:
                before, _, after = word.text.partition("-")
                line.append(Word(before + "-", word.space, word.sentence))
                word = Word(after, False, word.sentence)
            while line and line[-1].text in NO_END:
                queue.append(word)
                word = line.pop()
            yield line
            queue.append(Word(word.text, word.space, word.sentence, word.raised))
            line, used, limit = [], 0.0, width
        if line:
            yield line

    def put_words(self, line: list[Word], x: float, y: float, size: float, weight: str, extra: float) -> None:
        """Paint a line; `extra` is shared out over its gaps."""
        gaps = [i for i, w in enumerate(line) if i and not w.raised and (w.space or w.text[0] > "\u2e80")]
        spread = extra / len(gaps) if gaps and extra > 0 else 0.0
        run = start = None
        for number, word in enumerate([*line, None]):
            breaks = word is None or word.raised or (spread and number in gaps) or (number and line[number - 1].raised)
            if run is not None and breaks:
                self.put(run, start, y, size, weight)
                x = start + self._long(self.words(run), size, weight)
                run = None
            if word is None:
                break
            if word.raised:
                self.put(word.text, x, y + size * 0.35, size * 0.6)
                x += self._width(word.text, size * 0.6)
                continue
            if run is None:
                if number and word.space:
                    x += self._width(" ", size, weight)
                if spread and number in gaps:
                    x += spread
                run, start = word.text, x
            else:
                run += (" " if word.space else "") + word.text

    def _long(self, line: list[Word], size: float, weight: str) -> float:
        """How long a line of words is."""
        blanks = sum(word.space for word in line[1:]) * self._width(" ", size, weight)
        return blanks + sum(self._width(word.text, size * (0.6 if word.raised else 1), weight) for word in line)

    def flow(
        self,
        words: list[Word],
        size: float,
        *,
        weight: str = "regular",
        first: float = 0.0,
        hang: float = 0.0,
        leading: float = 0.0,
        centre: bool = False,
        width: float = 0.0,
        mark: str = "",
    ) -> dict[int, int]:
        """Set words as lines from the cursor on, over columns and pages; the page each sentence starts on."""
        leading = leading or size * (self.leading / self.body)
        pages: dict[int, int] = {}
        width = (width or self.measure) - hang
        lines = list(self.lines(words, size, weight, first, width))
        for number, line in enumerate(lines):
            if weight == "regular" and number in (0, len(lines) - 2) and len(lines) > 2:
                self.room(leading * 2)  # neither widows nor orphans
            self.room(leading)
            self.y -= leading
            indent = first if number == 0 else 0.0
            used = self._long(line, size, weight)
            extra = width - indent - used if self.justify and number + 1 < len(lines) and weight == "regular" else 0.0
            x = self.x + hang + indent + ((width - used) / 2 if centre else 0.0)
            if number == 0 and mark:
                self.put(mark, self.x + hang - max(self._width(mark + " ", size), self.body * 1.2), self.y, size)
            self.put_words(line, x, self.y, size, weight, min(extra, width * 0.25))
            for word in line:
                pages.setdefault(word.sentence, self.page)
        return pages

    # ------------------------------------------------------------ blocks

    def heading(self, level: int, text: str) -> None:
        """`level` 1 is the title, 2 a chapter, 3 a section, 4 below."""
        size = self.body * ((*self.ratio, 1.06)[level - 1])
        if self.same_size_bold and level == 4:
            size = self.body
        self.room(size * 2 + self.leading * 3.5)
        if self.y < self.column_top - 1:
            self.y -= size * self.r.uniform(0.7, 1.0)
        if level > 1 and self.outline != "none" and (self.outline == "all" or level == 2):
            self.canvas.bookmarkHorizontal(text, 0, self.y)
            self.canvas.addOutlineEntry(text, text, level - 2, closed=False)
        if level == 2:
            self.chapter = text
        pages = self.flow(self.words(text, 0), size, weight="bold", leading=size * 1.25, centre=level == 1)
        self.truth.headings.append((level, text, pages[0]))
        self.y -= size * self.r.uniform(0.3, 0.5)

    def paragraph(self, sentences: list[str] | None = None) -> None:
        sentences = sentences or [self.sentence() for _ in range(self.r.randint(2, 6))]
        words: list[Word] = []
        for number, sentence in enumerate(sentences):
            more = self.words(sentence, number)
            if number and (sentence[0].isascii() or self.language == "mixed"):
                more[0].space = sentence[0].isascii() and sentences[number - 1][-1].isascii()
            words += more
        note = None
        if self.footnotes and self.r.random() < 0.25 and self.columns == 1 and self.y - self.floor > self.leading * 8:
            self.notes += 1
            words.append(Word(str(self.notes), False, len(sentences) - 1, raised=True))
            text = self.sentence()
            while self._width(text, self.body * 0.75) > self.measure - 10:
                text = text[: len(text) * 4 // 5]
            note = (str(self.notes), text.rstrip())
            self.pending.append(note)
            self.floor += self.body * 1.15 + (10 if len(self.pending) == 1 else 0)
        first = self.body * 2 if self.indented else 0.0
        pages = self.flow(words, self.body, first=first)
        self.truth.sentences += [(sentence, pages[number]) for number, sentence in enumerate(sentences)]
        text = sentences[0]
        for number, sentence in enumerate(sentences[1:], 1):
            text += (" " if sentence[0].isascii() and sentences[number - 1][-1].isascii() else "") + sentence
        self.truth.paragraphs.append(text + (f"[^{note[0]}]" if note else ""))
        self.y -= self.gap

    def list(self) -> None:
        mark = (
            self.r.choice(["•", "-", "1.", "(1)"]) if self.language == "en" else self.r.choice(["1.", "（1）", "(1)"])
        )
        hang = self.body * self.r.uniform(1.8, 2.4) + (self.body if "(" in mark or "（" in mark else 0)
        self.y -= self.leading * 0.3
        for number in range(self.r.randint(3, 5)):
            sentence = self.sentence()
            marker = mark.replace("1", str(number + 1))
            pages = self.flow(self.words(sentence, 0), self.body, hang=hang, mark=marker)
            self.truth.sentences.append((sentence, pages[0]))
            self.truth.items.append(f"{marker} {sentence}")
        self.y -= max(self.gap, self.leading * 0.4)

    def table(self) -> None:
        r, size = self.r, self.body * 0.9
        columns = r.randint(3, 5 if self.columns == 1 else 4) if self.table_style != "grid" else r.randint(2, 4)
        rows = r.randint(3, 7)
        shares = [r.uniform(0.8, 1.3) for _ in range(columns)]
        full = self.measure * r.uniform(0.85, 1.0)
        widths = [full * share / sum(shares) for share in shares]
        numeric = [column > 0 and r.random() < 0.5 for column in range(columns)]
        texts: list[list[str]] = []
        for row in range(rows):
            texts.append([])
            for column in range(columns):
                self.serial += 1
                fits = widths[column] - 10
                word = r.choice(ZH) + r.choice(NUMERALS) if self.language != "en" else r.choice(EN)[:8].capitalize()
                text = f"{r.uniform(0, 900):,.1f}" if numeric[column] and row else word
                more = r.choice(ZH) if self.language != "en" else " " + r.choice(EN)
                if (
                    not numeric[column]
                    and self._width(text + more, size, "regular" if row else "bold") < fits
                    and r.random() < 0.6
                ):
                    text += more
                if row and column and self.table_style == "grid" and r.random() < 0.08:
                    text = ""
                if self.table_style == "grid" and not numeric[column] and r.random() < 0.15:
                    text = f"{text}{more}{more}{more}".strip()
                texts[row].append(text)
        broken = [[list(self.lines(self.words(text), size, "regular", 0, widths[c] - 9)) if text else []
                   for c, text in enumerate(row)] for row in texts]  # fmt: skip
        step = size * 1.25
        pad = r.uniform(4, 8) if self.table_style != "plain" else r.uniform(2, 4)
        heights = [max(1, *(len(cell) for cell in row)) * step + pad for row in broken]
        self.room(sum(heights) + self.leading * 3.2)
        self.counter += 1
        if self.y < self.column_top - 1:
            self.y -= self.leading * 0.5
        label = f"Table {self.counter}. " if self.language == "en" else f"表 {self.counter}　"
        caption = label + self.phrase(2, 3)
        self.flow(self.words(caption), size)
        self.truth.captions.append(caption)
        self.y -= 5
        top, x = self.y, self.x
        edges = [x + sum(widths[:c]) for c in range(columns + 1)]
        self.canvas.setLineWidth(0.5)
        for number, row in enumerate(broken):
            if self.table_style == "zebra" and number % 2 == 0:
                self.canvas.setFillGray(0.88)
                self.canvas.rect(x, self.y - heights[number], full, heights[number], stroke=0, fill=1)
                self.canvas.setFillGray(0)
            weight = "bold" if number == 0 and self.language == "en" else "regular"
            for column, cell in enumerate(row):
                y = self.y - pad / 2 - size
                for line in cell:
                    text = "".join((" " if w.space and i else "") + w.text for i, w in enumerate(line))
                    at = edges[column] + 4
                    if numeric[column]:
                        at = edges[column + 1] - 5 - self._width(text, size, weight)
                    self.put_words(line, at, y, size, weight, 0)
                    y -= step
            self.y -= heights[number]
            if self.table_style == "grid" or (self.table_style == "booktabs" and number in (0, rows - 1)):
                self.canvas.line(x, self.y, x + full, self.y)
        if self.table_style in ("grid", "booktabs"):
            self.canvas.line(x, top, x + full, top)
        if self.table_style == "grid":
            for edge in edges:
                self.canvas.line(edge, top, edge, self.y)
        self.truth.cells += [(r_, c, text) for r_, row in enumerate(texts) for c, text in enumerate(row)]
        self.y -= self.leading * 1.2

    def figure(self) -> None:
        height = self.r.uniform(50, 90)
        self.room(height + self.leading * 3)
        self.y -= self.leading * 0.6
        self.canvas.setFillGray(0.8)
        self.canvas.rect(self.x + self.measure * 0.2, self.y - height, self.measure * 0.6, height, fill=1)
        self.canvas.setFillGray(0)
        self.canvas.circle(self.x + self.measure * 0.5, self.y - height / 2, height * 0.3)
        self.y -= height + 2
        self.serial += 1
        label = f"Figure {self.serial}: " if self.language == "en" else f"图 {self.serial}　"
        caption = label + self.phrase(2, 3)
        self.flow(self.words(caption), self.body * 0.9, centre=True)
        self.truth.captions.append(caption)
        self.y -= self.leading

    def contents_page(self, entries: list[tuple[int, str]]) -> None:
        size = self.body
        head = "Contents" if self.language == "en" else "目录"
        self.heading_plain(head)
        for level, text in entries:
            self.room(size * 1.6)
            self.y -= size * 1.6
            page = str(self.pages_of.get(text, 1))
            x, end = self.x + (level - 2) * size * 1.5, self.x + self.measure - self._width(page, size)
            while self._width(text, size) > end - x - size * 4:
                text = text[:-1]
            self.put(text, x, self.y, size)
            self.put(page, end, self.y, size)
            dots = x + self._width(text, size) + size * 0.5
            step = self._width(self.leaders, size)
            leader = self.leaders * int((end - size * 0.5 - dots) / step)
            if leader:
                self.put(leader, end - size * 0.4 - step * (len(leader) / len(self.leaders)), self.y, size)
            self.truth.contents.append(text)
        self.new_page()

    def heading_plain(self, text: str) -> None:
        size = self.body * self.ratio[1]
        pages = self.flow(self.words(text, 0), size, weight="bold", leading=size * 1.25)
        self.truth.headings.append((2, text, pages[0]))
        self.y -= size * 0.4

    # ------------------------------------------------------------ the whole

    def run(self) -> None:
        r = self.r
        plan: list[tuple[str, str]] = []
        for chapter in range(1, r.randint(3, 5)):
            plan.append(("2", self._numbered(2, chapter, 0, self.phrase(1, 3))))
            for section in range(1, r.randint(2, 4)):
                plan.append(("3", self._numbered(3, chapter, section, self.phrase(2, 4))))
                if r.random() < 0.25 and self.language == "en":
                    plan.append(("4", self.phrase(2, 3)))
                for _ in range(r.randint(2, 4)):
                    plan.append((r.choice(["p", "p", "p", "p", "list", "table", "figure"]), ""))
        if self.title:
            author = (
                "A. Author and B. Writer, Institute of Timber" if self.language == "en" else "张三　李四　木构研究所"
            )
            columns, self.columns = self.columns, 1
            self.heading(1, self.phrase(3, 5))
            self.flow(self.words(author), self.body * 0.95, centre=True)
            self.truth.paragraphs.append(author)
            self.columns = columns
            self.y -= self.leading
            self.column_top = self.y
        if self.contents:
            if (self.columns > 1 or r.random() < 0.5) and self.page == 1 and self.title:
                self.new_page()
            columns, self.columns = self.columns, 1
            self.contents_page([(int(kind), text) for kind, text in plan if kind in "23"])
            self.columns = columns
        tables = figures = 0
        for number, (kind, text) in enumerate(plan):
            if kind in "234":
                if kind == "2" and number and self.chapter_breaks and (self.y < self.column_top - 1 or self.column):
                    self.new_page()
                self.heading(int(kind), text)
                if kind != "2" or plan[number + 1][0] not in "3":
                    self.paragraph()
            elif kind == "list":
                self.paragraph()
                self.list()
                self.paragraph()
            elif kind == "table" and tables < 3:
                tables += 1
                self.table()
                self.paragraph()
            elif kind == "figure" and figures < 2:
                figures += 1
                self.figure()
                self.paragraph()
            else:
                self.paragraph()
        self.finish_page()
        self.truth.pages = self.page
        self.canvas.save()

    def _numbered(self, level: int, chapter: int, section: int, text: str) -> str:
        if self.numbering == "decimal":
            return f"{chapter} {text}" if level == 2 else f"{chapter}.{section} {text}"
        if self.numbering == "chapter":
            if self.language == "en":
                return f"Chapter {chapter}: {text}" if level == 2 else text
            return f"第{NUMERALS[chapter - 1]}章　{text}" if level == 2 else f"{NUMERALS[section - 1]}、{text}"
        return text


def _code(number: int) -> str:
    """A short word that stands for a number: headings hold no figures of their own."""
    return "".join("bdfgklmnprstvz"[number // 14**k % 14] + "aeiou"[(number + k) % 5] for k in range(2))


# ---------------------------------------------------------------- another typesetter: reportlab's own


def make_flowing(seed: int, path: Path) -> Truth:
    """A document set by reportlab's platypus: its line breaks, lists, contents, tables and page templates.

    Of sentences, those are told whose text platypus gives out whole.
    """
    from reportlab.lib import colors
    from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import (
        BaseDocTemplate,
        Frame,
        FrameBreak,
        KeepTogether,
        ListFlowable,
        ListItem,
        NextPageTemplate,
        PageBreak,
        PageTemplate,
        Paragraph,
        Spacer,
        Table,
        TableStyle,
    )
    from reportlab.platypus.tableofcontents import TableOfContents

    words = _Typesetter(seed, path, {}, 1)
    r, truth, chinese = random.Random(seed + 7000), Truth(("en", "zh", "mixed")[seed % 3]), seed % 3 > 0
    words.language = truth.language
    latin = SERIF if r.random() < 0.5 else SANS
    fonts = {"regular": "STSong-Light", "bold": "STSong-Light"} if chinese else latin
    if chinese:
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    width, height = size = r.choice([A4, LETTER])
    columns = 2 if r.random() < 0.5 else 1
    em = r.choice([9.5, 10, 11])
    wrap = "CJK" if chinese else None
    body = ParagraphStyle("body", fontName=fonts["regular"], fontSize=em, leading=em * 1.35, wordWrap=wrap,
                          alignment=TA_JUSTIFY, spaceAfter=em * 0.7)  # fmt: skip
    small = ParagraphStyle("cell", parent=body, fontSize=em * 0.85, leading=em * 1.1, spaceAfter=0, alignment=0)
    cap = ParagraphStyle("caption", parent=small, alignment=TA_CENTER, spaceBefore=em * 0.6, spaceAfter=em * 0.6)
    heads = [ParagraphStyle(f"h{level}", parent=body, fontName=fonts["bold"], fontSize=em * ratio, alignment=0,
                            leading=em * ratio * 1.25, spaceBefore=em * 1.2, spaceAfter=em * 0.5)
             for level, ratio in ((1, 2.1), (2, 1.5), (3, 1.2))]  # fmt: skip
    heads[0].alignment = TA_CENTER
    drawn: list[tuple[int, str]] = []

    class Noted(Paragraph):
        def draw(self) -> None:
            drawn.append((self.canv.getPageNumber(), self.getPlainText(identify=1)))
            super().draw()

    class Template(BaseDocTemplate):
        def afterFlowable(self, flowable: object) -> None:
            level = getattr(flowable, "truth_level", 0)
            if level:
                text = flowable.getPlainText()  # type: ignore[attr-defined]
                noted.append((level, text, self.page))
                if level > 1 and outlined:
                    self.canv.bookmarkPage(text)
                    self.canv.addOutlineEntry(text, text, level - 2)
                if level > 1:
                    self.notify("TOCEntry", (level - 2, text, self.page))

    noted: list[tuple[int, str, int]] = []
    outlined, header = r.random() < 0.4, r.random() < 0.7

    def running(canvas: Canvas, document: BaseDocTemplate) -> None:
        if document.page == 1:
            lines.clear()
        canvas.setFont(fonts["regular"], em * 0.8)
        name = "木构建筑年报" if chinese else "Proceedings of the Timber Society"
        if header and document.page > 1:
            canvas.drawString(70, height - 36, name)
            lines.append((document.page, name))
        canvas.drawCentredString(width / 2, 30, str(document.page))
        lines.append((document.page, str(document.page)))

    lines: list[tuple[int, str]] = []
    inner, top = width - 140, height - 130
    wide = (inner - 24) / 2 if columns == 2 else inner
    banner = Frame(70, height - 65 - 110, inner, 110, 0, 0, 0, 0)
    below = [Frame(70 + n * (wide + 24), 65, wide, top - 120, 0, 0, 0, 0) for n in range(columns)]
    later = [Frame(70 + n * (wide + 24), 65, wide, top, 0, 0, 0, 0) for n in range(columns)]
    template = Template(str(path), pagesize=size, invariant=1)
    template.addPageTemplates([PageTemplate("first", [banner, *below], onPage=running),
                               PageTemplate("later", later, onPage=running)])  # fmt: skip

    def heading(level: int, text: str) -> Paragraph:
        made = Noted(text, heads[level - 1])
        made.keepWithNext = True
        made.truth_level = level
        return made

    sentences: list[str] = []

    def prose(number: int) -> Paragraph:
        said = [words.sentence() for _ in range(number)]
        sentences.extend(said)
        text = said[0]
        for before, sentence in pairwise(said):
            text += (" " if before[-1].isascii() and sentence[0].isascii() else "") + sentence
        truth.paragraphs.append(text)
        return Noted(text, body)

    title = words.phrase(2, 4)
    story: list[object] = [heading(1, title), FrameBreak(), NextPageTemplate("later")]
    if r.random() < 0.5:
        contents = TableOfContents(dotsMinLevel=0)
        contents.levelStyles = [ParagraphStyle(f"t{n}", parent=body, leftIndent=n * 14, alignment=0) for n in range(2)]
        made = heading(2, "目录" if chinese else "Contents")
        made.truth_level = 0
        story += [made, contents, PageBreak()]
        truth.contents = []
    count = 0
    for _ in range(r.randint(2, 4)):
        story.append(heading(2, words.phrase(1, 3)))
        story.append(prose(r.randint(2, 4)))
        for _ in range(r.randint(1, 3)):
            story.append(heading(3, words.phrase(2, 3)))
            for _ in range(r.randint(1, 3)):
                story.append(prose(r.randint(2, 6)))
            kind = r.choice(["table", "list", ""])
            if kind == "list":
                said = [words.sentence() for _ in range(3)]
                sentences.extend(said)
                truth.items += [f"{n}. {text}" if chinese else f"• {text}" for n, text in enumerate(said, 1)]
                how = {"bulletType": "1", "bulletFormat": "%s."} if chinese else {"bulletType": "bullet", "start": "•"}
                story.append(ListFlowable([ListItem(Noted(text, small), bulletFontSize=em * 0.85) for text in said],
                                          leftIndent=18, **how))  # fmt: skip
                story.append(Spacer(1, em))
            if kind == "table":
                count += 1
                rows = [[words.phrase(1, 1).rpartition(" ")[0] or words.phrase(1, 1) for _ in range(3)]]
                for _ in range(r.randint(3, 6)):
                    rows.append([words.phrase(1, 3), f"{r.uniform(1, 99):.1f}", words.phrase(1, 4)])
                truth.cells += [(i, j, text) for i, line in enumerate(rows) for j, text in enumerate(line)]
                look = [("VALIGN", (0, 0), (-1, -1), "TOP")]
                if r.random() < 0.5:
                    look.append(("GRID", (0, 0), (-1, -1), 0.5, colors.black))
                else:
                    for where, first, last in (("LINEABOVE", 0, 0), ("LINEBELOW", 0, 0), ("LINEBELOW", -1, -1)):
                        look.append((where, (0, first), (-1, last), 0.7, colors.black))
                label = f"表 {count}　{words.phrase(1, 2)}" if chinese else f"Table {count}: {words.phrase(1, 2)}"
                truth.captions.append(label)
                grid = Table([[Paragraph(text, small) for text in line] for line in rows],
                             colWidths=[wide * 0.4, wide * 0.2, wide * 0.4], style=TableStyle(look))  # fmt: skip
                story += [KeepTogether([Paragraph(label, cap), grid]), Spacer(1, em)]
    template.beforeDocument = lambda: (noted.clear(), drawn.clear())
    template.multiBuild(story)
    truth.headings = list(noted)
    if any(isinstance(part, TableOfContents) for part in story):
        page = next(page for page, text in drawn if text in ("目录", "Contents"))
        truth.headings.insert(1, (2, "目录" if chinese else "Contents", page))
        truth.contents = [text for level, text, _ in noted if level > 1]
    truth.running = list(lines)
    truth.pages = template.page
    stream = "".join("".join(text.split()) for _, text in drawn)
    starts = [0]
    for _, text in drawn:
        starts.append(starts[-1] + len("".join(text.split())))
    for sentence in sentences:
        at = stream.find("".join(sentence.split()))
        if at < 0:
            continue
        truth.sentences.append((sentence, drawn[max(n for n, start in enumerate(starts[:-1]) if start <= at)][0]))
    return truth
