"""Sets parsed blocks as a PDF with running header and footer, outline and page labels."""

import io
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate, Frame, KeepTogether, ListFlowable, ListItem, NextPageTemplate,
    PageBreak, PageTemplate, Paragraph, Spacer, Table, TableStyle,
)
from reportlab.platypus.tableofcontents import TableOfContents

from . import figures, markup

INK = colors.HexColor("#1d2b36")
RULE = colors.HexColor("#8a97a1")
SHADE = colors.HexColor("#e6ecf0")
CALLOUT = {
    "DANGER": colors.HexColor("#f8d9d6"),
    "WARNING": colors.HexColor("#fdebd0"),
    "CAUTION": colors.HexColor("#fdf6d0"),
    "NOTE": colors.HexColor("#e3eef8"),
}
MARGIN = 20 * mm
ROMAN = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"]


def style(name, size, lead, **more):
    return ParagraphStyle(name, fontName=more.pop("font", "Helvetica"), fontSize=size,
                          leading=lead, textColor=INK, **more)


BODY = style("body", 9.6, 13.2, spaceAfter=5)
CELL = style("cell", 8.4, 10.4)
CELL_HEAD = style("cellhead", 8.4, 10.4, font="Helvetica-Bold")
CAPTION = style("caption", 8.6, 11, font="Helvetica-Bold", spaceBefore=6, spaceAfter=3, keepWithNext=1)
HEADINGS = {
    1: style("h1", 15, 19, font="Helvetica-Bold", spaceBefore=8, spaceAfter=7, keepWithNext=1),
    2: style("h2", 11.5, 15, font="Helvetica-Bold", spaceBefore=9, spaceAfter=4, keepWithNext=1),
    3: style("h3", 9.8, 13, font="Helvetica-Bold", spaceBefore=6, spaceAfter=3, keepWithNext=1),
}
TITLE = style("title", 18, 22, font="Helvetica-Bold", spaceAfter=4)
COVER = style("cover", 27, 33, font="Helvetica-Bold", alignment=TA_CENTER, spaceAfter=10)
COVER_LINE = style("coverline", 12, 18, alignment=TA_CENTER)


def rich(text):
    """The inline markup of a text for reportlab; refuses what the standard fonts cannot show."""
    text.encode("cp1252")
    return "".join(f"<b>{escape(piece)}</b>" if bold else escape(piece) for piece, bold in markup.spans(text))


class Document(BaseDocTemplate):
    """A document that knows its front matter and, from an earlier pass, its number of pages."""

    def __init__(self, target, meta, pages):
        self.meta, self.pages = meta, pages
        self.front = int(meta.get("front_pages", 0))
        size = landscape(A4) if meta.get("layout") == "landscape" else A4
        super().__init__(target, pagesize=size, invariant=1, title=meta["title"], author=meta["author"],
                         subject=meta["number"], creator="Northfield Works document control",
                         leftMargin=MARGIN, rightMargin=MARGIN, topMargin=26 * mm, bottomMargin=20 * mm)
        whole = Frame(self.leftMargin, self.bottomMargin, self.width, self.height, id="whole", **PADLESS)
        templates = [PageTemplate("plain", [whole], onPage=running), PageTemplate("cover", [whole], onPage=bare)]
        if meta.get("layout") == "two-column":
            gap = 7 * mm
            half = (self.width - gap) / 2
            left = Frame(self.leftMargin, self.bottomMargin, half, self.height, id="left", **PADLESS)
            right = Frame(self.leftMargin + half + gap, self.bottomMargin, half, self.height, id="right", **PADLESS)
            templates.insert(0, PageTemplate("columns", [left, right], onPage=running))
        if meta.get("cover"):
            templates.insert(0, templates.pop())
        self.addPageTemplates(templates)

    @property
    def column(self):
        return (self.width - 7 * mm) / 2 if self.meta.get("layout") == "two-column" else self.width

    def afterFlowable(self, flowable):
        level = getattr(flowable, "outline_level", None)
        if level is None:
            return
        key = f"h{self.seq}"
        self.seq += 1
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(flowable.plain, key, level=level, closed=level > 0)
        self.notify("TOCEntry", (level, escape(flowable.plain), self.canv.getPageNumber(), key))

    def beforeDocument(self):
        self.seq = 0


PADLESS = dict(leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)


def label(doc, page):
    """The printed page number: roman in the front matter, then from 1."""
    return ROMAN[page] if page <= doc.front else str(page - doc.front)


def page_label(canvas, doc):
    page = canvas.getPageNumber()
    if not doc.front:
        return
    if page == 1:
        canvas.addPageLabel(0, style="ROMAN_LOWER", start=1)
    elif page == doc.front + 1:
        canvas.addPageLabel(doc.front, style="ARABIC", start=1)


def bare(canvas, doc):
    page_label(canvas, doc)


def running(canvas, doc):
    page_label(canvas, doc)
    width, height = doc.pagesize
    meta = doc.meta
    canvas.saveState()
    canvas.setFillColor(INK)
    canvas.setStrokeColor(RULE)
    canvas.setLineWidth(0.6)
    canvas.setFont("Helvetica", 8)
    canvas.drawString(MARGIN, height - 15 * mm, f"Northfield Works | {meta['number']}")
    canvas.drawRightString(width - MARGIN, height - 15 * mm, meta["title"])
    canvas.line(MARGIN, height - 17.5 * mm, width - MARGIN, height - 17.5 * mm)
    canvas.line(MARGIN, 15 * mm, width - MARGIN, 15 * mm)
    canvas.drawString(MARGIN, 11 * mm, f"Rev. {meta['revision']} | {meta['date']}")
    canvas.drawCentredString(width / 2, 11 * mm, meta["classification"].upper())
    page = f"Page {label(doc, canvas.getPageNumber())}" if doc.front else f"Page {canvas.getPageNumber()} of {doc.pages}"
    canvas.drawRightString(width - MARGIN, 11 * mm, page)
    canvas.restoreState()


def heading(block):
    flowable = Paragraph(rich(block.text), HEADINGS[block.level])
    flowable.plain = block.text
    if block.level < 3:
        flowable.outline_level = block.level - 1
    return flowable


def table(block, width):
    rows = [[Paragraph(rich(cell), CELL_HEAD if index == 0 else CELL) for cell in row]
            for index, row in enumerate(block.rows)]
    flowable = Table(rows, colWidths=[share * width for share in markup.column_shares(block)],
                     repeatRows=1, hAlign="LEFT", spaceAfter=8)
    flowable.setStyle(TableStyle([
        ("GRID", (0, 0), (-1, -1), 0.4, RULE),
        ("BACKGROUND", (0, 0), (-1, 0), SHADE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        *([("NOSPLIT", (0, 0), (-1, -1))] if len(rows) <= 16 else []),
    ]))
    return [*([Paragraph(rich(block.caption), CAPTION)] if block.caption else []), flowable]


def callout(block, width):
    text = Paragraph(f"<b>{block.kind}</b>  {rich(block.text)}", BODY)
    box = Table([[text]], colWidths=[width], spaceBefore=3, spaceAfter=8)
    box.setStyle(TableStyle([
        ("BOX", (0, 0), (-1, -1), 0.6, RULE),
        ("BACKGROUND", (0, 0), (-1, -1), CALLOUT[block.kind]),
    ]))
    return box


def item_list(block):
    items = [ListItem(Paragraph(rich(item), BODY), leftIndent=16) for item in block.items]
    if block.ordered:
        return ListFlowable(items, bulletType="1", bulletFormat="%s.", bulletFontSize=9.6, leftIndent=18)
    return ListFlowable(items, bulletType="bullet", start="\u2022", bulletFontSize=9.6, leftIndent=14)


def contents(doc):
    toc = TableOfContents(formatter=lambda page: label(doc, page))
    toc.dotsMinLevel = 0
    toc.tableStyle = TableStyle([(f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("TOP", "BOTTOM", "LEFT", "RIGHT")])
    toc.levelStyles = [
        style("toc1", 9, 11.2, font="Helvetica-Bold", spaceBefore=1.5),
        style("toc2", 8.2, 9.8, leftIndent=14),
    ]
    return [Paragraph("Contents", HEADINGS[1]), toc, PageBreak()]


def opening(doc):
    """The title block of a short document, or the cover of a long one."""
    meta = doc.meta
    if meta.get("cover"):
        lines = [f"Document {meta['number']}", f"Revision {meta['revision']}, {meta['date']}",
                 meta["author"], "Northfield Works"]
        return [Spacer(1, 60 * mm), Paragraph(rich(meta["title"]), COVER), Spacer(1, 8 * mm),
                *[Paragraph(rich(line), COVER_LINE) for line in lines], NextPageTemplate("plain"), PageBreak()]
    facts = [["Document", "Revision", "Date", "Owner", "Classification"],
             [meta["number"], meta["revision"], meta["date"], meta["author"], meta["classification"]]]
    if doc.column < doc.width:
        facts = [list(pair) for pair in zip(*facts)]
    block = markup.Table(facts, None, None)
    return [Paragraph(rich(meta["title"]), TITLE), *table(block, doc.column)]


def story(doc, blocks):
    out = opening(doc)
    for block in blocks:
        match block:
            case markup.Heading():
                out.append(heading(block))
            case markup.Paragraph(text="[contents]"):
                out.extend(contents(doc))
            case markup.Paragraph():
                out.append(Paragraph(rich(block.text), BODY))
            case markup.ItemList():
                out.extend([item_list(block), Spacer(1, 4)])
            case markup.Table():
                out.extend(table(block, doc.column))
            case markup.Callout():
                out.append(callout(block, doc.column))
            case markup.Figure():
                drawing = figures.DRAWINGS[block.name](doc.column)
                out.append(KeepTogether([drawing, Paragraph(rich(block.caption), CAPTION)]))
            case markup.PageBreak():
                out.append(PageBreak())
    return out


def render(meta, body):
    """Returns the bytes of the PDF. Set twice, because the footer names the number of pages."""
    blocks = markup.parse(body)
    pages = 0
    for _ in range(2):
        target = io.BytesIO()
        doc = Document(target, meta, pages)
        doc.multiBuild(story(doc, blocks))
        pages = doc.page
    return target.getvalue()
