"""Other people's text, where something would run it: a spreadsheet, or a terminal."""

from __future__ import annotations

import re

# Spreadsheets pass over these in front of what makes a formula.
_SKIPPED = r"[\s'\"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*"
# A number, a telephone number and a prefix are no formulas, though they begin like one.
_NUMBER = r"'*[+-]?\d+(?:\.\d+)?(?:[;\t\r\n]|\Z)"
_FORMULA = rf"(?={_SKIPPED}[=+\-@\uff1d\uff0b\uff0d\uff20])(?!{_NUMBER})"
# Where a cell begins: also after a semicolon, for where that separates cells, quotes around a
# cell that follows a comma mean nothing, and neither do they around the end of a line in it.
_CELL = r"(\A|[;\t\r\n])"
_GUARD = re.compile(_CELL + _FORMULA)
_GUARDED = re.compile(_CELL + "'" + _FORMULA)

# Controls of C0 and C1, of bidirectional text, and ends of lines and paragraphs.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F))
_SHOWN = {code: repr(chr(code))[1:-1] for code in (*_CONTROLS, *range(0x2066, 0x206A))}
_SHOWN_IN_LINES = {code: shown for code, shown in _SHOWN.items() if code != 0x0A}


def guard(text: str) -> str:
    """Return a cell's text such that no spreadsheet takes it for a formula: an apostrophe first."""
    return _GUARD.sub(r"\1'", text)


def unguard(text: str) -> str:
    """Take back what guard did; any other apostrophe stays."""
    return _GUARDED.sub(r"\1", text)


def printable(text: str) -> str:
    """Return a text for a terminal, on one line: what would steer it is written out, as \\x1b."""
    return text.translate(_SHOWN)


def printable_lines(text: str) -> str:
    """Return a text for a terminal as printable does, but keep its lines."""
    return text.translate(_SHOWN_IN_LINES)
