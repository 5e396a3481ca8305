"""A sentencepiece vocabulary of the captions' whole words, laid out as T5's."""

import os

import sentencepiece

from .combinations import all_combinations, captions, written_variants
from .networks import MAX_TEXT_LENGTH

PAD, EOS, UNKNOWN = 0, 1, 2
FILE_NAME = "spiece.model"


def all_captions():
    return [text for c in all_combinations() for text in captions(c)]


def _words():
    texts = [variant for text in all_captions() for variant in written_variants(text)]
    return sorted({word.strip(",.") for text in texts for word in text.split()})


def train_tokenizer(options):
    words = _words()
    letters = {letter for word in words for letter in word}
    # A piece is only proposed when it occurs in two distinct words, hence the punctuated copies.
    corpus = [word + mark for word in words for mark in ("", ",", ".")] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_prefix=os.path.join(options.work, "spiece"),
        model_type="unigram",
        vocab_size=3 + 2 * len(words) + len(letters),
        hard_vocab_limit=False,
        pad_id=PAD,
        eos_id=EOS,
        unk_id=UNKNOWN,
        bos_id=-1,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    processor = load_processor(options.work)
    longest = max(len(processor.encode(v)) for t in all_captions() for v in written_variants(t))
    print(f"{processor.vocab_size()} pieces, longest caption {longest} pieces and the end mark")
    assert longest < MAX_TEXT_LENGTH


def load_processor(work):
    return sentencepiece.SentencePieceProcessor(model_file=os.path.join(work, FILE_NAME))


def encode_padded(processor, text):
    """Piece ids with the end mark, cut and padded to the text length, as the pipeline does it."""
    ids = processor.encode(text)[: MAX_TEXT_LENGTH - 1] + [EOS]
    return ids + [PAD] * (MAX_TEXT_LENGTH - len(ids))
