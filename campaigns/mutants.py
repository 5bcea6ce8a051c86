"""Mutants: the record path with one thing changed, which a test must notice.

Each guard, condition, comparison, constant and statement of the functions that the trigger reaches,
of measure/ and record/, and each constraint, index and trigger of the tables that they write or
read is deleted or turned round, one at a time. The list is the same every time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from campaigns.sql_text import Token, statement_starts, tokens

ENTRANCES = ("compose_row_trigger", "compose_statement_trigger", "record_rows")
STAGES = ("measure", "rate", "record", "operate")
PLACEHOLDER = re.compile(r"%\d\$[sIL]")

# What ends a condition that is open at this depth of parentheses.
ENDS = frozenset(
    [
        "AND",
        "OR",
        "THEN",
        "LOOP",
        ";",
        ",",
        "GROUP",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "RETURNING",
        "HAVING",
        "WINDOW",
        "LEFT",
        "INNER",
        "CROSS",
        "FULL",
        "RIGHT",
        "JOIN",
        "WHERE",
        "ON",
        "FOR",
        "INTO",
        "ELSE",
        "END",
        "WHEN",
        "SET",
        "AS",
        "DO",
    ]
)
BEGINS = frozenset(["WHERE", "ON", "HAVING", "IF", "ELSIF", "WHEN", "AND", "OR"])
COMPARISONS = {"=": "<>", "<>": "=", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "+"}
WORDS = {
    "MIN": "max",
    "MAX": "min",
    "GREATEST": "LEAST",
    "LEAST": "GREATEST",
    "TRUE": "false",
    "FALSE": "true",
    "DESC": "ASC",
    "LEFT": "INNER",
    "FULL": "LEFT",
    "CEIL": "floor",
    "FLOOR": "ceil",
    "STATEMENT_TIMESTAMP": "clock_timestamp",
}
DELETABLE = frozenset(
    [
        "PERFORM",
        "INSERT",
        "UPDATE",
        "DELETE",
        "RAISE",
        "CONTINUE",
        "EXIT",
        "SELECT",
        "WITH",
        "EXECUTE",
    ]
)
SPEAKING = frozenset(("MESSAGE", "DETAIL", "HINT"))


@dataclass(frozen=True)
class Mutant:
    """name says file, place and change, and stays as long as the line does; sql makes it."""

    name: str
    sql: str
    difference: str

    @property
    def place(self) -> str:
        """The function's file below db/functions; of the database's own rules, "rule"."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class _Change:
    start: int
    end: int
    text: str


def list_mutants(folder: Path) -> list[Mutant]:
    """Of the functions in the folder db/functions, in order of files and lines."""
    mutants = []
    for path in _files(folder):
        mutants += list(_of_file(path.read_text(), f"{path.parent.name}/{path.name}"))
    return mutants


def _files(folder: Path) -> list[Path]:
    """measure/, record/, and all that the triggers and record_rows reach through their text."""
    known = {path.stem: path for stage in STAGES for path in (folder / stage).glob("*.sql")}
    reached = {path.stem for path in known.values() if path.parent.name in ("measure", "record")}
    waiting = [*ENTRANCES, *sorted(reached)]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        text = known[name].read_text().partition("COMMENT ON")[0]
        called = set(re.findall(r"billing\.(\w+)\(", text)) & known.keys()
        waiting += sorted(called - reached)
        reached |= called
    reached -= {"retry_unrated", "meter_table"}
    # A view, or a function that is resolved when it is made, measures and records nothing.
    return sorted(known[name] for name in reached if "$$" in known[name].read_text())


def _of_file(text: str, file: str) -> Iterator[Mutant]:
    begin, end = _body(text)
    # In the text of a trigger, what format() fills in reads as a name.
    readable = PLACEHOLDER.sub(lambda match: "x" * len(match[0]), text[begin:end])
    seen: Counter[str] = Counter()
    for change in _changes(readable):
        start, stop = begin + change.start, begin + change.end
        mutated = text[:start] + change.text + text[stop:]
        line_start = text.rfind("\n", 0, start) + 1
        line_end = text.find("\n", start)
        line = text[line_start:line_end].strip()
        was = " ".join(text[start:stop].split())
        name = f"{file}: {line}: {was[:60]} -> {' '.join(change.text.split())[:30] or 'nothing'}"
        seen[name] += 1
        if seen[name] > 1:
            name += f" ({seen[name]})"
        number = text.count("\n", 0, start) + 1
        difference = f"{file}:{number}\n-{text[line_start:line_end]}\n"
        changed_end = mutated.find("\n", start + len(change.text))
        difference += f"+{mutated[line_start:changed_end]}"
        yield Mutant(name, mutated, difference)


def _body(text: str) -> tuple[int, int]:
    """Of the function, or of the trigger text within it; without the last line's COMMENT ON."""
    for quote in ("$body$", "$$"):
        if quote in text:
            begin = text.index(quote) + len(quote)
            return begin, text.index(quote, begin)
    raise ValueError("no function in this file")


def _changes(body: str) -> Iterator[_Change]:
    found = {(change.start, change.end, change.text): change for change in _all_changes(body)}
    yield from sorted(found.values(), key=lambda change: (change.start, change.end, change.text))


def _all_changes(body: str) -> Iterator[_Change]:
    stream = tokens(body)
    is_procedural = any(token.word == "BEGIN" for token in stream)
    conditions = list(_conditions(stream))
    compared = {i for begin, end, _ in conditions for i in range(begin, end)}
    silent = set(_spoken(stream))
    for begin, end, alternative in conditions:
        start, stop = stream[begin].start, stream[end - 1].end
        yield _Change(start, stop, alternative)
        # A single comparison is turned round by its operator.
        if sum(token.word in ("=", "<>") for token in stream[begin:end]) != 1:
            yield _Change(start, stop, f"NOT ({body[start:stop]})")
    for i, _token in enumerate(stream):
        if i in silent:
            continue
        yield from _of_token(stream, i, i in compared)
    yield from _handlers(stream)
    if is_procedural:
        yield from _statements(body, stream)


def _conditions(stream: list[Token]) -> Iterator[tuple[int, int, str]]:
    """From and to which token each operand of a condition goes, and what deletes it."""
    in_handlers = set(_handler_tokens(stream))
    for i, token in enumerate(stream[:-1]):
        before = stream[i - 1].word if i else ""
        if (
            token.word not in BEGINS
            or i in in_handlers
            or (token.word == "AND" and _is_between(stream, i))
            or (token.word == "ON" and (before == "DISTINCT" or stream[i + 1].word == "CONFLICT"))
            or (token.word == "ON" and stream[i + 1].word == "CONSTRAINT")
            or (token.word == "IF" and before == "END")
            or (token.word == "WHEN" and _is_value(stream, i))
        ):
            continue
        end = _end(stream, i + 1)
        after = stream[end].word if end < len(stream) else ""
        if end == i + 1:
            continue
        if "OR" in (token.word, after):
            alternative = "false"
        elif "AND" in (token.word, after) or token.word in ("WHERE", "ON", "HAVING"):
            alternative = "true"
        else:
            alternative = "false"
        if stream[i + 1].word in ("TRUE", "FALSE") and end == i + 2:
            continue
        yield i + 1, end, alternative


def _end(stream: list[Token], begin: int) -> int:
    depth = cases = 0
    is_between = False
    for i in range(begin, len(stream)):
        word = stream[i].word
        if word in ("(", "["):
            depth += 1
        elif word in (")", "]"):
            if depth == 0:
                return i
            depth -= 1
        elif word == "CASE":
            cases += 1
        elif word == "END" and cases:
            cases -= 1
            continue
        if depth or cases:
            continue
        if word == "BETWEEN":
            is_between = True
        elif word == "AND" and is_between:
            is_between = False
        elif word in ENDS:
            return i
    return len(stream)


def _is_between(stream: list[Token], i: int) -> bool:
    """Whether this AND belongs to a BETWEEN: the nearest word of its depth says."""
    depth = 0
    for token in reversed(stream[:i]):
        if token.word in (")", "]"):
            depth += 1
        elif token.word in ("(", "["):
            if depth == 0:
                return False
            depth -= 1
        elif depth == 0 and token.word in ("AND", "OR", "WHERE", "ON", "WHEN", "IF"):
            return False
        elif depth == 0 and token.word == "BETWEEN":
            return True
    return False


def _is_value(stream: list[Token], i: int) -> bool:
    """Whether this WHEN is of CASE x WHEN value, where no condition stands."""
    depth = 0
    for j in range(i - 1, -1, -1):
        word = stream[j].word
        if word == "END":
            depth += 1
        elif word == "CASE" and depth:
            depth -= 1
        elif word == "CASE":
            return stream[j + 1].word != "WHEN"
        elif word in (";", "BEGIN"):
            return False
    return False


def _handler_tokens(stream: list[Token]) -> Iterator[int]:
    """The names after WHEN in EXCEPTION, up to THEN."""
    is_handling = is_naming = False
    for i, token in enumerate(stream):
        before = stream[i - 1].word if i else ""
        if token.word == "EXCEPTION" and before != "RAISE":
            is_handling = True
        elif is_handling and token.word == "WHEN" and before in ("EXCEPTION", ";"):
            is_naming = True
        elif token.word == "THEN":
            is_naming = False
        elif token.word == "BEGIN" or (
            token.word == "END"
            and is_handling
            and stream[i + 1 : i + 2]
            and stream[i + 1].word == ";"
        ):
            is_handling = False
        if is_naming:
            yield i


def _handlers(stream: list[Token]) -> Iterator[_Change]:
    """Each error that is let through or caught, no longer."""
    named = set(_handler_tokens(stream))
    for i in sorted(named):
        token, after = stream[i], stream[i + 1]
        if token.word in ("WHEN", "OR"):
            continue
        if after.word == "OR":
            yield _Change(token.start, after.end, "")
        elif stream[i - 1].word == "OR":
            yield _Change(stream[i - 1].start, token.end, "")
        else:
            yield _Change(token.start, token.end, "division_by_zero")


def _spoken(stream: list[Token]) -> Iterator[int]:
    """Tokens of what RAISE says to people: its text and arguments, DETAIL and HINT."""
    is_raising, is_code, depth = False, False, 0
    for i, token in enumerate(stream):
        word = token.word
        if word == "RAISE":
            is_raising, is_code, depth = True, False, 0
        elif word == ";":
            is_raising = False
        elif is_raising and word in ("(", ")"):
            depth += 1 if word == "(" else -1
        elif is_raising and word == "ERRCODE":
            is_code = True
        elif is_raising and word == "," and depth == 0:
            is_code = False
        if is_raising and not is_code:
            yield i


def _of_token(stream: list[Token], i: int, is_compared: bool) -> Iterator[_Change]:
    token = stream[i]
    before = stream[i - 1] if i else None
    after = stream[i + 1] if i + 1 < len(stream) else None
    word = token.word
    if is_compared and word in COMPARISONS and (after is None or after.word != ">"):
        yield _Change(token.start, token.end, COMPARISONS[word])
    elif word in ARITHMETIC and before is not None and after is not None:
        is_star = word == "*" and (
            before.word in ("SELECT", ".", "(", ",") or after.word in (")", ",", "FROM")
        )
        is_sign = (
            before.word in ("(", ",", "=", "SELECT", "THEN", "ELSE", "RETURN", "||")
            or before.kind == "COLON_EQUALS"
        )
        if is_sign and word in "+-":
            yield _Change(token.start, token.end, "")
        elif not is_star:
            yield _Change(token.start, token.end, ARITHMETIC[word])
    elif word == "DISTINCT" and before is not None and before.word in ("IS", "NOT"):
        if before.word == "NOT":
            yield _Change(before.start, token.end, "DISTINCT")
        else:
            yield _Change(token.start, token.end, "NOT DISTINCT")
    elif (word == "DISTINCT" and after is not None and after.word != "ON") or (
        word == "NOT" and after is not None and after.word == "IN"
    ):
        yield _Change(token.start, token.end, "")
    elif word == "NULL" and before is not None and before.word == "IS":
        yield _Change(token.start, token.end, "NOT NULL")
    elif word == "NULL" and before is not None and before.word == "NOT" and is_compared:
        yield _Change(before.start, token.end, "NULL")
    elif word in WORDS and not (before is not None and before.word == "."):
        is_call = word in (
            "MIN",
            "MAX",
            "GREATEST",
            "LEAST",
            "CEIL",
            "FLOOR",
            "STATEMENT_TIMESTAMP",
        )
        if is_call == (after is not None and after.word == "("):
            yield _Change(token.start, token.end, WORDS[word])
    elif word == "COALESCE" and after is not None and after.word == "(":
        yield from _shorter(stream, i)
    elif token.kind == "ICONST" and not (before is not None and before.word == "LIMIT"):
        yield _Change(token.start, token.end, str(int(token.text) + 1))
    elif token.kind == "SCONST" and re.fullmatch(r"'[\w{}]{0,20}'", token.text):
        yield _Change(token.start, token.end, "'" + token.text[1:-1] + "x'")
    elif word == "ON" and after is not None and after.word == "CONFLICT":
        end = _end_of_conflict(stream, i)
        yield _Change(token.start, stream[end - 1].end, "")
    elif word == "LIMIT" and after is not None:
        yield _Change(token.start, after.end, "")


def _shorter(stream: list[Token], i: int) -> Iterator[_Change]:
    """COALESCE without one of its arguments, each in turn."""
    depth, starts = 0, [i + 2]
    for j in range(i + 1, len(stream)):
        word = stream[j].word
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if depth == 0:
            ends = [*(start - 1 for start in starts[1:]), j]
            for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
                if number < len(starts) - 1:
                    yield _Change(stream[start].start, stream[end].end, "")
                else:
                    yield _Change(stream[start - 1].start, stream[end - 1].end, "")
            return
        if depth == 1 and word == ",":
            starts.append(j + 1)


def _end_of_conflict(stream: list[Token], i: int) -> int:
    depth = 0
    for j in range(i, len(stream)):
        word = stream[j].word
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word in (";", "RETURNING")):
            return j
    return len(stream)


def _statements(body: str, stream: list[Token]) -> Iterator[_Change]:
    """Each statement that is one line of work, left out."""
    starts = sorted(set(statement_starts(body)))
    at = {token.start: i for i, token in enumerate(stream)}
    for start in starts:
        i = at[start]
        word = stream[i].word
        end = next(j for j in range(i, len(stream)) if stream[j].word == ";")
        assigns = any(token.kind == "COLON_EQUALS" for token in stream[i : i + 8])
        is_assignment = assigns and word not in (
            "IF", "FOR", "FOREACH", "WHILE", "BEGIN", "DECLARE", "RETURN", "LOOP",
        )  # fmt: skip
        is_return = word == "RETURN" and stream[i + 1].word in (";", "NULL", "NEXT")
        if word in DELETABLE or is_assignment or is_return:
            yield _Change(start, stream[end].start, "NULL")


# The database's own rules -------------------------------------------------------------------------

RULES = """
SELECT format('constraint %%I of %%s', c.conname, c.conrelid::regclass),
    format('ALTER TABLE %%s DROP CONSTRAINT %%I CASCADE', c.conrelid::regclass, c.conname)
FROM pg_constraint AS c
WHERE c.connamespace = 'billing'::regnamespace
    AND c.contype IN ('c', 'p', 'u', 'x')
    AND c.conislocal
    AND c.conrelid::regclass::text = ANY (%(tables)s)
UNION ALL
SELECT format('constraint %%I of domain %%s', c.conname, c.contypid::regtype),
    format('ALTER DOMAIN %%s DROP CONSTRAINT %%I', c.contypid::regtype, c.conname)
FROM pg_constraint AS c
WHERE c.connamespace = 'billing'::regnamespace
    AND c.contypid <> 0
    AND c.contype = 'c'
UNION ALL
SELECT format('NOT NULL of %%s.%%I', a.attrelid::regclass, a.attname),
    format('ALTER TABLE %%s ALTER %%I DROP NOT NULL', a.attrelid::regclass, a.attname)
FROM pg_attribute AS a
WHERE a.attrelid::regclass::text = ANY (%(tables)s)
    AND a.attnotnull
    AND NOT a.attisdropped
    AND a.attidentity = ''
    AND a.attislocal
    AND NOT EXISTS (
        SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary
            AND a.attnum = ANY (i.indkey)
    )
UNION ALL
SELECT format('trigger %%I on %%s', t.tgname, t.tgrelid::regclass),
    format('DROP TRIGGER %%I ON %%s', t.tgname, t.tgrelid::regclass)
FROM pg_trigger AS t
WHERE NOT t.tgisinternal
    AND t.tgparentid = 0
    AND (t.tgrelid::regclass::text = ANY (%(tables)s) OR t.tgname LIKE 'billing\\_%%')
UNION ALL
SELECT format('index %%s', i.indexrelid::regclass), format('DROP INDEX %%s', i.indexrelid::regclass)
FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid::regclass::text = ANY (%(tables)s)
    AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint AS x WHERE x.conindid = i.indexrelid)
ORDER BY 1
"""
TABLES = tuple(
    f"billing.{name}"
    for name in [
        "usage_records",
        "usage_records_default",
        "usage_deltas",
        "usage_sums",
        "unrated_usage",
        "direct_usage",
        "detached_months",
        "metered_tables",
        "tenant_terms",
        "resolved_prices",
        "pricing_rates",
    ]
)
"""What the record path reads and writes."""
