#!/usr/bin/env python3
"""Writes documents/ from sources/. Needs the packages of requirements.txt.

A source named X.pdf.md becomes X.pdf, X.docx.md becomes X.docx, X.xlsx.md becomes X.xlsx; X.md is copied as it is, and
X.txt is written with line ends and encoding of ENCODINGS. The same sources give the same bytes.
"""

from pathlib import Path

from render import docx, markup, pdf, xlsx

HERE = Path(__file__).resolve().parent
ENCODINGS = {
    "handover-2026-03-12-day.txt": "cp1252",
    "chemical-handling-notes.txt": "utf-16",
}


def text_bytes(name, text):
    """UTF-8 as it stands, or CRLF in the encoding that a Windows editor would have used."""
    encoding = ENCODINGS.get(name)
    if encoding is None:
        return text.encode("utf-8")
    text = text.replace("\n", "\r\n")
    return b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16" else text.encode(encoding)


def build(source):
    """Returns the name and the bytes of the document that a source describes."""
    for suffix, render in ((".pdf", pdf.render), (".docx", docx.render), (".xlsx", xlsx.render)):
        if source.name.endswith(suffix + ".md"):
            return source.name[: -len(".md")], render(*markup.read_source(source))
    return source.name, text_bytes(source.name, source.read_text(encoding="utf-8"))


def main():
    target = HERE / "documents"
    target.mkdir(exist_ok=True)
    written = set()
    for source in sorted((HERE / "sources").iterdir()):
        name, data = build(source)
        (target / name).write_bytes(data)
        written.add(name)
        print(f"{len(data):8} {name}")
    for stray in target.iterdir():
        if stray.name not in written:
            print(f"not from a source, remove it by hand: {stray.name}")


if __name__ == "__main__":
    main()
