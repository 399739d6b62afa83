#!/usr/bin/env python3
"""Checks questions.json and plant.json against documents/.

Each expected place must hold each text of `answer_contains`, and nothing of `absent` may stand
anywhere. Also names the other places that hold the whole answer: read these, and either accept
them in `expected` or ask more exactly. Needs pypdf and python-docx.
"""

import json
import re
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import docx
import pypdf

HERE = Path(__file__).resolve().parent
DOCUMENTS = HERE / "documents"


def normal(text):
    return re.sub(r"\s+", " ", text).lower()


def decode(data):
    if data.startswith(b"\xff\xfe"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def pdf_places(path):
    return {(number, None): page.extract_text() for number, page in enumerate(pypdf.PdfReader(path).pages, 1)}


def docx_places(path):
    document = docx.Document(str(path))
    places, section = {}, None
    for block in document.iter_inner_content():
        if isinstance(block, docx.table.Table):
            text = "\n".join(" | ".join(cell.text for cell in row.cells) for row in block.rows)
        else:
            if block.style.name.startswith("Heading"):
                section = block.text
            text = block.text
        places[(None, section)] = places.get((None, section), "") + "\n" + text
    return places


def markdown_places(path):
    places, section = {}, None
    for line in decode(path.read_bytes()).splitlines():
        if line.startswith("#"):
            section = line.lstrip("#").strip()
        places[(None, section)] = places.get((None, section), "") + "\n" + line
    return places


def sheet_places(path):
    """The visible sheets of a workbook that render/xlsx.py wrote; a page is the sheet's number."""
    main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    places = {}
    with zipfile.ZipFile(path) as archive:
        sheets = ElementTree.fromstring(archive.read("xl/workbook.xml")).iter(f"{main}sheet")
        for number, sheet in enumerate(sheets, 1):
            if sheet.get("state") == "visible":
                rows = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml")).iter(f"{main}row")
                lines = (" | ".join("".join(cell.itertext()) for cell in row.iter(f"{main}c")) for row in rows)
                places[(number, None)] = "\n".join(lines)
    return places


def places_of(path):
    """The text of a document by (page, section), as far as its format has them."""
    readers = {".pdf": pdf_places, ".docx": docx_places, ".md": markdown_places, ".xlsx": sheet_places}
    reader = readers.get(path.suffix)
    found = reader(path) if reader else {(None, None): decode(path.read_bytes())}
    return {place: normal(text) for place, text in found.items()}


def check_question(question, corpus):
    """Yields what is wrong with a question, and then where else its answer stands."""
    wanted = [normal(text) for text in question["answer_contains"]]
    expected = [(e["file"], e["page"], e.get("section")) for e in question["expected"]]
    if question["answerable"] != bool(expected and wanted):
        yield "error", "answerable, expected and answer_contains do not agree"
    for place in expected:
        text = corpus.get(place)
        if text is None:
            yield "error", f"no such place: {place}"
        else:
            yield from (("error", f"{place} does not say {w!r}") for w in wanted if w not in text)
    for text in map(normal, question.get("absent", [])):
        yield from (("error", f"{place} says {text!r}") for place, there in corpus.items() if text in there)
    for place, there in corpus.items():
        if wanted and place not in expected and all(w in there for w in wanted):
            yield "also", place


def check_plant(plant, names):
    listed = [document["path"].removeprefix("documents/") for document in plant["documents"]]
    for name in sorted(set(listed) ^ names):
        yield f"plant.json and documents/ disagree about {name}"
    classes = {document["classification"] for document in plant["documents"]}
    if not classes <= {"public", "internal", "confidential", "restricted"}:
        yield f"unknown classification among {sorted(classes)}"
    if {user["role"] for user in plant["users"]} != {"admin", "user", "viewer"}:
        yield "a role has no user"


def main():
    questions = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))
    plant = json.loads((HERE / "plant.json").read_text(encoding="utf-8"))
    corpus = {(path.name, *place): text for path in sorted(DOCUMENTS.iterdir()) for place, text in places_of(path).items()}
    errors = list(check_plant(plant, {name for name, _, _ in corpus}))
    for question in questions:
        for kind, what in check_question(question, corpus):
            if kind == "error":
                errors.append(f"{question['id']}: {what}")
            elif "-v" in sys.argv:
                print(f"{question['id']} {question['answer_contains']} also: {what}")
    answerable = sum(question["answerable"] for question in questions)
    print(f"{len(questions)} questions, {answerable} with an answer, {len(errors)} errors")
    print(*errors, sep="\n", end="")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
