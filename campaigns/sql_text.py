"""SQL and PL/pgSQL read as PostgreSQL's own scanner reads them (pglast)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pglast.parser import scan

COMMENTS = ("SQL_COMMENT", "C_COMMENT")


@dataclass(frozen=True)
class Token:
    """text[start:end] is what stands there; kind is the scanner's name for it, such as SCONST."""

    kind: str
    start: int
    end: int
    text: str

    @property
    def word(self) -> str:
        return self.text.upper()


def tokens(text: str) -> list[Token]:
    """All but comments."""
    found = []
    for token in scan(text):
        if token.name not in COMMENTS:
            end = token.end + 1
            found.append(Token(token.name, token.start, end, text[token.start : end]))
    return found


def statement_starts(body: str) -> Iterator[int]:
    """Where in a PL/pgSQL body a statement begins, so that another can be put before it."""
    parentheses, cases, is_declaring = 0, 0, False
    all_tokens = tokens(body)
    for before, token, after in zip([None, *all_tokens], all_tokens, all_tokens[1:], strict=False):
        word = token.word
        if word in ("(", "["):
            parentheses += 1
        elif word in (")", "]"):
            parentheses -= 1
        elif word == "CASE" and (before is None or before.word != "END"):
            cases += 1
        elif word == "END" and cases:
            cases -= 1
        elif word == "DECLARE":
            is_declaring = True
        elif word == "BEGIN":
            is_declaring = False
        is_start = (
            word == "BEGIN"
            or (word == "LOOP" and before is not None and before.word != "END")
            or (word in ("THEN", "ELSE") and not cases)
            or (word == ";" and not is_declaring)
        )
        if (
            is_start
            and not parentheses
            and after.word not in ("END", "ELSE", "ELSIF", "EXCEPTION", "WHEN")
        ):
            yield after.start
