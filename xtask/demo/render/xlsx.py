"""Sets tables as a workbook (XLSX), with what people's lists have: titles, merged headers, dates, a hidden sheet.

A source has a level-1 heading per sheet, `# Name` or `# Name (hidden)`, lines of text for rows with one cell, and tables.
A cell `^` is merged with the one above it, `<` with the one to its left. Numbers and dates become numbers and dates.
"""

import io
import re
import zipfile
from datetime import date
from xml.sax.saxutils import escape

NUMBER = re.compile(r"^-?\d+(\.\d+)?$")
DATE = re.compile(r"^(\d{4})-(\d\d)-(\d\d)$")
RULE = re.compile(r"^\|[\s:|-]+\|$")
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# Style 1 is bold, for headers; style 2 shows a date.
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts>'
    '<fonts count="2"><font><sz val="10"/><name val="Arial"/></font><font><b/><sz val="10"/><name val="Arial"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def letters(column):
    return chr(ord("A") + column) if column < 26 else letters(column // 26 - 1) + letters(column % 26)


def serial(year, month, day):
    """The number of a day in a workbook, which counts from 1899-12-30."""
    return (date(year, month, day) - date(1899, 12, 30)).days


class Sheet:
    """The rows of a sheet as XML, and its merged cells."""

    def __init__(self, name, hidden):
        self.name, self.hidden = name, hidden
        self.rows, self.merged, self.number = [], [], 0

    def state(self):
        return "hidden" if self.hidden else "visible"

    def add_row(self, cells, bold=False):
        self.number += 1
        xml = "".join(self.cell(column, text, bold) for column, text in enumerate(cells) if text not in ("", "^", "<"))
        self.rows.append(f'<row r="{self.number}">{xml}</row>')

    def cell(self, column, text, bold):
        place = f'r="{letters(column)}{self.number}"'
        day = DATE.match(text)
        if day:
            return f'<c {place} s="2"><v>{serial(*map(int, day.groups()))}</v></c>'
        if NUMBER.match(text) and not bold:
            return f"<c {place}><v>{text}</v></c>"
        style = ' s="1"' if bold else ""
        return f'<c {place}{style} t="inlineStr"><is><t>{escape(text)}</t></is></c>'

    def add_table(self, lines):
        """Adds a table, whose rows above the rule are the header."""
        rule = next(at for at, line in enumerate(lines) if RULE.match(line))
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if not RULE.match(line)]
        first = self.number + 1
        for at, row in enumerate(rows):
            self.add_row(row, bold=at < rule)
        for at, row in enumerate(rows):
            for column, text in enumerate(row):
                if text in ("^", "<"):
                    continue
                last_row, last_column = at, column
                while last_row + 1 < len(rows) and rows[last_row + 1][column] == "^":
                    last_row += 1
                while last_column + 1 < len(row) and row[last_column + 1] == "<":
                    last_column += 1
                if (last_row, last_column) != (at, column):
                    start, end = (column, first + at), (last_column, first + last_row)
                    self.merged.append(f"{letters(start[0])}{start[1]}:{letters(end[0])}{end[1]}")

    def xml(self):
        merged = "".join(f'<mergeCell ref="{ref}"/>' for ref in self.merged)
        merged = f'<mergeCells count="{len(self.merged)}">{merged}</mergeCells>' if merged else ""
        return f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(self.rows)}</sheetData>{merged}</worksheet>'


def parse(body):
    sheets, table = [], []
    for line in [*body.splitlines(), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        if table:
            sheets[-1].add_table(table)
            table = []
        heading = re.match(r"^# (.+?)( \(hidden\))?$", line)
        if heading:
            sheets.append(Sheet(heading[1], bool(heading[2])))
        elif sheets and line.strip():
            sheets[-1].add_row([line.strip()])
        elif sheets and sheets[-1].number:
            sheets[-1].number += 1
    return sheets


def render(meta, body):
    """Returns the bytes of the workbook."""
    sheets = parse(body)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{CONTENT}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{CONTENT}.styles+xml"/>'
        '<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{at}.xml" ContentType="{CONTENT}.worksheet+xml"/>'
            for at in range(1, len(sheets) + 1)
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        f'<Relationship Id="rId2" Type="{PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        "</Relationships>",
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(meta["title"])}</dc:title></cp:coreProperties>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(
            f'<sheet name="{escape(sheet.name)}" sheetId="{at}" state="{sheet.state()}" r:id="rId{at}"/>'
            for at, sheet in enumerate(sheets, 1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{at}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{at}.xml"/>'
            for at in range(1, len(sheets) + 1)
        )
        + f'<Relationship Id="rId{len(sheets) + 1}" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": STYLES,
    }
    parts |= {f"xl/worksheets/sheet{at}.xml": sheet.xml() for at, sheet in enumerate(sheets, 1)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + text)
    return out.getvalue()
