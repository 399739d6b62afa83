"""Writes `logbook.json`, `parts.json` and their documents: `python3 generator/generate.py`, without other packages.

The same program gives the same bytes. An entry or part is made from values, and the questions choose by these values,
so that the list of relevant sections is complete by construction.
"""

import json
from pathlib import Path

import parts_list
import shift_log

ROOT = Path(__file__).resolve().parent.parent


def write_documents(folder, documents):
    """Writes Markdown files: `documents` maps a file name to its title and its sections."""
    (ROOT / folder).mkdir(exist_ok=True)
    for name, (title, sections) in documents.items():
        body = "".join(f"\n## {section['heading']}\n\n{section['text']}\n" for section in sections)
        (ROOT / folder / name).write_text(f"# {title}\n{body}", encoding="utf-8")


def write_set(name, documents, questions):
    """Writes an evaluation set, one line a question; `documents` are paths from the set."""
    file_of = {id(section): file for file, (_, sections) in documents.items() for section in sections}
    lines = []
    for number, (kind, text, relevant) in enumerate(questions, 1):
        answer = ({"expected": [{"doc": file_of[id(section)], "section": section["heading"]} for section in relevant]}
                  if relevant else {"answerable": False})
        lines.append({"id": f"{kind}-{number:02}", "kind": kind, "question": text, **answer})
    rows = [",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in rows)
            for rows in ([{"path": f"{name}/{file}"} for file in documents], lines)]
    text = '{\n  "documents": [\n%s\n  ],\n  "questions": [\n%s\n  ]\n}\n' % tuple(rows)
    (ROOT / f"{name}.json").write_text(text, encoding="utf-8")


def main():
    """Writes both sets."""
    log = shift_log.entries()
    months = {f"log-2026-{month}.md": (f"Shift log of the pellet works, {title} 2026",
                                       [entry for entry in log if entry["month"] == month])
              for month, (title, _) in shift_log.MONTHS.items()}
    write_documents("logbook", months)
    write_set("logbook", months, shift_log.questions(log))
    stock = parts_list.parts()
    stores = {f"parts-{store}.md": (f"Spare parts, {title}", [part for part in stock if part["store"] == store])
              for store, title in parts_list.STORES.items()}
    write_documents("parts", stores)
    write_set("parts", stores, parts_list.questions(stock))


if __name__ == "__main__":
    main()
