"""Prompts of the goldens, and their ids by the rule of section 2.1 of the specification."""

import pathlib

import sentencepiece
import torch
from transformers import T5Tokenizer

PROMPTS = {
    "empty": "",
    "ordinary": "A panda, dressed in a small red jacket, plays a miniature guitar in a bamboo forest.",
    "unicode": "  Café\u3000№ 5 — “naïve” ﬁsh, 東京 at dawn 🎈 Straße ½\tend ",
    "long": " ".join(f"In shot {k} a golden retriever runs along the beach while waves roll in;" for k in range(1, 30)),
    "negative": "blurry, low quality, watermark",
    "train": "A steam train crosses a stone bridge in heavy snow.",
}


class Tokenizer:
    """sentencepiece by the rule; every encoding is checked against the transformers tokenizer."""

    def __init__(self, folder: pathlib.Path):
        self.transformers = T5Tokenizer.from_pretrained(str(folder))
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))

    def ids(self, text: str, length: int) -> torch.Tensor:
        """Int64 [1, length]: pieces, </s> (kept when the text is cut), zeros."""
        pieces = self._pieces.encode(text)[: length - 1] + [1]
        ids = torch.tensor([pieces + [0] * (length - len(pieces))])
        other = self.transformers(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        if not torch.equal(ids, other.input_ids):
            raise RuntimeError(f"tokenizers disagree on {text!r}")
        return ids
