"""Sets parsed blocks as a DOCX with real heading styles, numbered lists and tables."""

import io
import zipfile
from datetime import datetime

from docx import Document
from docx.enum.text import WD_BREAK
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt
from lxml import etree

from . import markup

STAMP = (2026, 3, 1, 8, 0, 0)


def add_runs(paragraph, text, bold=False):
    for piece, strong in markup.spans(text):
        paragraph.add_run(piece).bold = True if (bold or strong) else None


def add_field(paragraph, code):
    """A field that the word processor computes, such as PAGE."""
    run = paragraph.add_run()
    for kind, text in (("begin", None), (None, code), ("end", None)):
        if kind:
            element = OxmlElement("w:fldChar")
            element.set(qn("w:fldCharType"), kind)
        else:
            element = OxmlElement("w:instrText")
            element.text = text
        run._r.append(element)


def new_numbering(doc):
    """A numbering that starts again at 1, in the look of the style 'List Number'."""
    numbering = doc.part.numbering_part.element
    used = doc.styles["List Number"].element.pPr.numPr.numId.val
    abstract = next(n for n in numbering.num_lst if n.numId == used).abstractNumId.val
    number = numbering.add_num(abstract)
    number.add_lvlOverride(ilvl=0).add_startOverride(1)
    return number.numId


def add_list(doc, block):
    number = new_numbering(doc) if block.ordered else None
    for item in block.items:
        paragraph = doc.add_paragraph(style="List Number" if block.ordered else "List Bullet")
        add_runs(paragraph, item)
        if number is not None:
            properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()
            properties.get_or_add_ilvl().val = 0
            properties.get_or_add_numId().val = number


def add_table(doc, block, width):
    if block.caption:
        doc.add_paragraph(block.caption, style="Caption")
    grid = doc.add_table(rows=0, cols=len(block.rows[0]))
    grid.style = "Table Grid"
    grid.autofit = False
    shares = markup.column_shares(block)
    for index, row in enumerate(block.rows):
        line = grid.add_row()
        for cell, text, share in zip(line.cells, row, shares):
            cell.width = int(width * share)
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_after = Pt(1)
            add_runs(paragraph, text, bold=index == 0)
            for run in paragraph.runs:
                run.font.size = Pt(9)
        if index == 0:
            line._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    doc.add_paragraph().paragraph_format.space_after = Pt(2)


def set_page(doc, meta):
    section = doc.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(22)
    section.top_margin, section.bottom_margin = Mm(24), Mm(20)
    section.header.paragraphs[0].text = f"Northfield Works | {meta['number']} | {meta['title']}"
    footer = section.footer.paragraphs[0]
    footer.add_run(f"Rev. {meta['revision']} | {meta['date']} | {meta['classification'].upper()} | Page ")
    add_field(footer, "PAGE")
    return section.page_width - section.left_margin - section.right_margin


def set_properties(doc, meta):
    properties = doc.core_properties
    when = datetime(*map(int, meta["date"].split("-")), 8, 0, 0)
    properties.title, properties.author = meta["title"], meta["author"]
    properties.subject, properties.category = meta["number"], meta["classification"]
    properties.last_modified_by, properties.comments = meta["author"], ""
    properties.created = properties.modified = properties.last_printed = when
    properties.revision = int(meta["revision"])


def add_block(doc, block, width):
    match block:
        case markup.Heading():
            doc.add_heading(block.text, level=block.level)
        case markup.Paragraph():
            add_runs(doc.add_paragraph(), block.text)
        case markup.ItemList():
            add_list(doc, block)
        case markup.Table():
            add_table(doc, block, width)
        case markup.Callout():
            add_runs(doc.add_paragraph(style="Intense Quote"), f"{block.kind}: {block.text}")
        case markup.PageBreak():
            doc.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
        case _:
            raise ValueError(f"not for DOCX: {block}")


def with_fixed_times(package):
    """The same package with one time stamp on each entry, so that a rebuild gives the same bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if not name.endswith("thumbnail.jpeg"):
                new.writestr(zipfile.ZipInfo(name, STAMP), without_thumbnail(name, old.read(name)),
                             compress_type=zipfile.ZIP_DEFLATED)
    return target.getvalue()


def without_thumbnail(name, data):
    """The library's template carries the picture of an empty page; drop the relation to it."""
    if name != "_rels/.rels":
        return data
    root = etree.fromstring(data)
    for relation in list(root):
        if relation.get("Type").endswith("/thumbnail"):
            root.remove(relation)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)


def render(meta, body):
    """Returns the bytes of the DOCX."""
    doc = Document()
    doc.styles["Normal"].font.name = "Calibri"
    doc.styles["Normal"].font.size = Pt(10.5)
    width = set_page(doc, meta)
    set_properties(doc, meta)
    doc.add_heading(meta["title"], level=0)
    facts = [["Document", "Revision", "Date", "Owner", "Classification"],
             [meta["number"], meta["revision"], meta["date"], meta["author"], meta["classification"]]]
    add_table(doc, markup.Table(facts, None, None), width)
    for block in markup.parse(body):
        add_block(doc, block, width)
    package = io.BytesIO()
    doc.save(package)
    return with_fixed_times(package)
