"""Text to the token ids that a BERT-shaped encoder was trained on (uncased WordPiece)."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

_UNKNOWN, _BEGIN, _END = "[UNK]", "[CLS]", "[SEP]"
_LONGEST_WORD = 100
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class WordPiece:
    """Greedy longest-match tokenizer over a vocabulary, as published with BERT.

    Parameters
    ----------
    vocabulary
        Tokens in the order of their ids; pieces inside a word begin with ``##``.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._ids = {token: number for number, token in enumerate(vocabulary)}
        self._unknown = self._ids[_UNKNOWN]
        self._known: dict[str, tuple[int, ...]] = {}

    @classmethod
    def of_file(cls, path: Path) -> "WordPiece":
        """Return the tokenizer of a `vocab.txt`, one token a line."""
        return cls(path.read_text(encoding="utf-8").splitlines())

    def encode(self, text: str, longest: int) -> list[int]:
        """Return ids with the begin and end marks, at most `longest` of them."""
        ids = [self._ids[_BEGIN]]
        for word in _words(text):
            ids.extend(self._pieces(word))
            if len(ids) >= longest:
                break
        return [*ids[: longest - 1], self._ids[_END]]

    def _pieces(self, word: str) -> tuple[int, ...]:
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = self._split(word)
        return found

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return (self._unknown,)
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self._ids), None)
            if end is None:
                return (self._unknown,)
            pieces.append(self._ids[prefix + word[start:end]])
            start = end
        return tuple(pieces)


def _words(text: str) -> list[str]:
    """Return lower-case words without accents; punctuation and Chinese signs stand alone."""
    plain = unicodedata.normalize("NFD", text.lower())
    return "".join(_separated(sign) for sign in plain).split()


def _separated(sign: str) -> str:
    if sign.isascii():
        if sign.isalnum():
            return sign
        return f" {sign} " if sign.isprintable() and not sign.isspace() else _blank(sign)
    kind = unicodedata.category(sign)
    if kind == "Mn":
        return ""
    if kind.startswith("P") or _is_chinese(ord(sign)):
        return f" {sign} "
    return _blank(sign) if kind.startswith(("C", "Z")) or sign == _UNREADABLE else sign


def _blank(sign: str) -> str:
    return " " if sign.isspace() else ""


def _is_chinese(code: int) -> bool:
    return (
        0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x2CEAF
        or 0x2F800 <= code <= 0x2FA1F
    )
