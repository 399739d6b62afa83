"""The small part of Markdown that the demo sources use, parsed into blocks.

Beyond plain Markdown: front matter between `---` lines, `\\newpage`, `\\figure NAME Caption`,
`Table: caption` above a table, `{w: 20 30 50}` for column widths in per cent, and
`> WARNING: text` for a call-out. A list item may go on over indented lines.
"""

import re
from dataclasses import dataclass, field


@dataclass
class Heading:
    level: int
    text: str


@dataclass
class Paragraph:
    text: str


@dataclass
class ItemList:
    ordered: bool
    items: list = field(default_factory=list)


@dataclass
class Table:
    rows: list
    caption: str | None
    widths: list | None


@dataclass
class Callout:
    kind: str
    text: str


@dataclass
class Figure:
    name: str
    caption: str


class PageBreak:
    """Starts a new page."""


ITEM = re.compile(r"^(-|\d+\.) +(.*)$")
RULE = re.compile(r"^\|[\s:|-]+\|$")
BOLD = re.compile(r"\*\*(.+?)\*\*")


def read_source(path):
    """Returns the front matter as a dict, and the text below it."""
    text = path.read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    meta = dict(line.split(": ", 1) for line in head.strip().splitlines())
    return meta, body


def spans(text):
    """Splits a text into (piece, is_bold) pairs."""
    parts = BOLD.split(text)
    return [(part, index % 2 == 1) for index, part in enumerate(parts) if part]


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def is_plain(line):
    return bool(line.strip()) and not ITEM.match(line) and line[0] not in "#|>\\{" and not line.startswith("Table: ")


def parse(body):
    """Parses the body of a source into blocks, in order."""
    lines = body.splitlines()
    blocks, at = [], 0
    caption, widths = None, None
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip():
            continue
        if line.startswith("#"):
            marks, text = line.split(" ", 1)
            blocks.append(Heading(len(marks), text.strip()))
        elif line == "\\newpage":
            blocks.append(PageBreak())
        elif line.startswith("\\figure "):
            _, name, text = line.split(" ", 2)
            blocks.append(Figure(name, text))
        elif line.startswith("Table: "):
            caption = line[7:].strip()
        elif line.startswith("{w: "):
            widths = [float(w) for w in line[4:].rstrip("}").split()]
        elif line.startswith("> "):
            kind, text = line[2:].split(": ", 1)
            blocks.append(Callout(kind, text))
        elif line.startswith("|"):
            rows = [cells(line)]
            while at < len(lines) and lines[at].startswith("|"):
                if not RULE.match(lines[at]):
                    rows.append(cells(lines[at]))
                at += 1
            ragged = [row for row in rows if len(row) != len(rows[0])]
            if ragged:
                raise ValueError(f"row with another number of cells: {ragged[0]}")
            blocks.append(Table(rows, caption, widths))
            caption, widths = None, None
        elif ITEM.match(line):
            marker, text = ITEM.match(line).groups()
            while at < len(lines) and lines[at].startswith("  "):
                text += " " + lines[at].strip()
                at += 1
            last = blocks[-1] if blocks else None
            ordered = marker != "-"
            if not (isinstance(last, ItemList) and last.ordered == ordered and marker != "1."):
                blocks.append(ItemList(ordered))
            blocks[-1].items.append(text)
        else:
            while at < len(lines) and is_plain(lines[at]):
                line += " " + lines[at].strip()
                at += 1
            blocks.append(Paragraph(line.strip()))
    return blocks


def column_shares(table):
    """The share of the width for each column: as given, or by how much text stands in it."""
    if table.widths:
        shares = table.widths
    else:
        shares = []
        for column in zip(*table.rows):
            longest_word = max((len(w) for cell in column for w in cell.split()), default=1)
            longest_cell = max(len(cell) for cell in column)
            shares.append(max(longest_word * 1.15, min(longest_cell, 45), 5))
    total = sum(shares)
    return [share / total for share in shares]
