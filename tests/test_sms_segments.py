"""SMS segments against published cases and a packer written apart, and the choice of a measure.

The oracle packs a text as a sender would, unit by unit, from the tables of 3GPP TS 23.038.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pyapi.deploy import migrate, uninstall
from pyapi.embedded import project

DATA = project() / "tests" / "data" / "sms_segments.json"
FIXTURES = project().parent / "shared" / "fixtures"
BODIES = 15_000

# 6.2.1, row by row of the code table's columns: position 27 is the escape.
ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
ESCAPE = 27
# 6.2.1.1, the extension table: position to character.
EXTENSION = {
    10: "\f",
    20: "^",
    40: "{",
    41: "}",
    47: "\\",
    60: "[",
    61: "~",
    62: "]",
    64: "|",
    101: "€",
}
SEPTETS = {
    **{c: (n,) for n, c in enumerate(ALPHABET) if n != ESCAPE},
    **{c: (ESCAPE, n) for n, c in EXTENSION.items()},
}


def counted(body: str) -> tuple[str, int]:
    """Encoding and segments of a text, each character put whole into the first part it fits."""
    if all(character in SEPTETS for character in body):
        encoding, single, part = "GSM-7", 160, 153
        sizes = [len(SEPTETS[character]) for character in body]
    else:
        encoding, single, part = "UCS-2", 70, 67
        sizes = [len(character.encode("utf-16-be")) // 2 for character in body]
    if sum(sizes) <= single:
        return encoding, 1
    segments, room = 0, 0
    for size in sizes:
        if size > room:
            segments, room = segments + 1, part
        room -= size
    return encoding, segments


def ask(db: Connection[TupleRow], bodies: Sequence[str | None]) -> list[tuple[str, int]]:
    """What the database says of each of these texts."""
    query = """
        SELECT s.encoding, s.segments
        FROM unnest(%s::text[]) WITH ORDINALITY AS t (body, n)
        CROSS JOIN LATERAL billing.sms_segments(t.body) AS s
        ORDER BY t.n
        """
    return [(row[0], row[1]) for row in db.execute(query, [list(bodies)])]


def cases() -> list[dict[str, Any]]:
    """Published cases; a text is written as pieces, each so many times."""
    found: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))
    for case in found:
        case["text"] = "".join(piece * times for piece, times in case["text"])
    return found


def test_the_tables_of_the_oracle_are_whole() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 128
    assert len(SEPTETS) == 127 + 10


def test_published_cases(db: Connection[TupleRow]) -> None:
    published = cases()
    assert len(published) >= 41
    expected = [(case["encoding"], case["segments"]) for case in published]
    assert [counted(case["text"]) for case in published] == expected
    assert ask(db, [case["text"] for case in published]) == expected


def test_the_published_files_themselves(db: Connection[TupleRow]) -> None:
    vectors = FIXTURES / "sms_segments" / "vectors.json"
    examples = FIXTURES / "rating" / "worked_examples.json"
    if not (vectors.exists() and examples.exists()):
        pytest.skip(f"the published cases of others are not here ({FIXTURES})")
    wanted = [
        (case["text"], case["encoding"], case["segments"])
        for case in json.loads(vectors.read_text(encoding="utf-8"))
    ]
    wanted += [
        ("a" * case["usage"]["characters"], case["parameters"]["encoding"], int(case["expected"]))
        for case in json.loads(examples.read_text(encoding="utf-8"))
        if case["model"] == "sms_segments"
    ]
    assert len(wanted) >= 41
    assert ask(db, [text for text, _, _ in wanted]) == [found[1:] for found in wanted]


@pytest.mark.newest
def test_every_character_there_is(db: Connection[TupleRow]) -> None:
    """Alone, and as the 80th of its kind: 160 septets or more than 70 code units."""
    characters = [chr(n) for n in range(1, 0x10000) if not 0xD800 <= n < 0xE000]
    characters += [chr(n) for n in (0x10000, 0x1F40B, 0x10FFFF)]
    for times in (1, 80):
        bodies = [character * times for character in characters]
        found = ask(db, bodies)
        wrong = [
            (hex(ord(body[0])), said)
            for body, said in zip(bodies, found, strict=True)
            if said != counted(body)
        ]
        assert not wrong


def random_body(rng: random.Random) -> str:
    """Of about a limit's length, from one to four kinds of characters, in runs or mixed."""
    kinds = [
        [c for c in ALPHABET if c != "\x1b"],
        list(EXTENSION.values()),
        list("`çΑ☃Ж中\u200d\ufe0f\x1b\t\u00a0"),
        ["\U0001f40b", "\U00010000", "\U0010ffff", "\U0001f1ee"],
    ]
    chosen = rng.sample(kinds, rng.randint(1, 4)) if rng.random() < 0.6 else kinds[:2]
    weights = [rng.choice((1, 1, 5, 50)) for _ in chosen]
    limit = rng.choice((0, 10, 35, 70, 80, 134, 153, 160, 201, 306, 459, 1600))
    body = ""
    while len(body) < limit + rng.randint(-5, 5):
        kind = rng.choices(chosen, weights)[0]
        body += rng.choice(kind) * rng.choice((1, 1, 1, 2, rng.randint(1, 80)))
    return body if rng.random() < 0.5 else body[: max(0, limit + rng.randint(-3, 3))]


def test_random_texts_are_packed_like_the_oracle_packs_them(
    db: Connection[TupleRow], thorough: bool
) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    bodies = [random_body(rng) for _ in range(BODIES if thorough else BODIES // 10)]
    expected = [counted(body) for body in bodies]
    # The cases are worth something only if many lose room at the end of a part.
    torn = 0
    for body, (encoding, segments) in zip(bodies, expected, strict=True):
        units = sum(len(SEPTETS[c]) if encoding == "GSM-7" else 1 + (c > "\uffff") for c in body)
        part = 153 if encoding == "GSM-7" else 67
        torn += segments > max(1, -(-units // part))
    assert torn > len(bodies) / 100, seed
    for body, said, right in zip(bodies, ask(db, bodies), expected, strict=True):
        assert said == right, (seed, body)


def test_a_text_of_any_length_is_counted_in_time(db: Connection[TupleRow]) -> None:
    """Ten times the text takes about ten times as long, not a hundred times."""
    least, most = (
        min(_seconds(db, ["€a" * length]) for _ in range(3)) for length in (20_000, 200_000)
    )
    assert most < 40 * least, (least, most)


def _seconds(db: Connection[TupleRow], bodies: Sequence[str]) -> float:
    began = time.perf_counter()
    ask(db, bodies)
    return time.perf_counter() - began


def test_a_column_of_any_collation_can_be_counted(db: Connection[TupleRow]) -> None:
    try:
        db.execute(
            "CREATE COLLATION public.lax (provider = icu, locale = 'und', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL is built without ICU")
    query = "SELECT (billing.sms_segments(repeat('a', 161) COLLATE public.lax)).segments"
    assert db.execute(query).fetchone() == (2,)


# The choice of a measure, over reloads


METERED = "SELECT source_table, measure_call, resource_column FROM billing.metered_tables"


def reload(database: str, db: Connection[TupleRow]) -> None:
    """As the next version does: what a migration forgets is loaded again."""
    db.execute("DELETE FROM billing.deployed_files WHERE path NOT LIKE 'migrations/%'")
    assert "triggers/sources.sql" in migrate(database).reloaded


def choose_detail(db: Connection[TupleRow]) -> None:
    db.execute(
        "SELECT billing.meter_table("
        "'public.messages', 'billing.measure_message_in_detail', 'message_sid')"
    )


def send(db: Connection[TupleRow], sid: str) -> list[tuple[str, int]]:
    """Send an SMS of two segments; return what it was billed as."""
    db.execute(
        "INSERT INTO messages (tenant_id, message_sid, body, status, sent_at)"
        " VALUES (7, %s, repeat('a', 161), 'sent', '2025-11-14 10:00:00+00')",
        [sid],
    )
    query = "SELECT resource_type, quantity FROM billing.usage_records WHERE resource_id = %s"
    return [(row[0], int(row[1])) for row in db.execute(query, [sid])]


@pytest.fixture
def priced(db: Connection[TupleRow]) -> Connection[TupleRow]:
    """A tenant, and a price for segments."""
    db.execute("INSERT INTO tenants (id, company_name) VALUES (7, 'Acme')")
    db.execute(
        "INSERT INTO billing.pricing_rates (channel, resource_type, unit_price, effective_from)"
        " VALUES ('sms', 'segment', 0.01, '2025-01-01 00:00:00+00')"
    )
    return db


def test_either_measure_inlines_into_the_trigger(priced: Connection[TupleRow]) -> None:
    """A row that is worth nothing pays for two comparisons, and its text is not counted."""
    for choose in (lambda db: None, choose_detail):
        choose(priced)
        call = priced.execute(f"{METERED} WHERE source_table = 'messages'").fetchone()
        assert call
        query = f"EXPLAIN SELECT m FROM messages AS r CROSS JOIN LATERAL {call[1]} AS m"
        plan = "\n".join(row[0] for row in priced.execute(query.encode()))
        assert "Function Scan" not in plan
        assert re.search(r"Seq Scan on messages r.*\n +Filter: .*direction.*status", plan)


def test_a_reload_keeps_the_measure_that_was_chosen(
    database: str, priced: Connection[TupleRow]
) -> None:
    assert send(priced, "SM1") == [("message", 1)]
    choose_detail(priced)
    chosen = priced.execute(METERED).fetchall()
    reload(database, priced)
    assert sorted(priced.execute(METERED).fetchall()) == sorted(chosen)
    assert send(priced, "SM2") == [("segment", 2)]


def test_a_reload_composes_the_triggers_of_a_chosen_measure_anew(
    database: str, priced: Connection[TupleRow]
) -> None:
    choose_detail(priced)
    # What an earlier version might have composed.
    priced.execute(
        "CREATE OR REPLACE FUNCTION billing.meter_messages() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'"
    )
    assert send(priced, "SM1") == []
    priced.execute(
        "UPDATE billing.deployed_files SET sha256 = 'another text'"
        " WHERE path = 'functions/operate/compose_statement_trigger.sql'"
    )
    assert migrate(database)
    assert send(priced, "SM2") == [("segment", 2)]


def test_a_reload_keeps_a_measure_that_shares_its_name_with_one_of_ours(
    database: str, priced: Connection[TupleRow]
) -> None:
    priced.execute(
        """
        CREATE FUNCTION public.measure_message(p_id bigint, p_tenant_id bigint, p_message_sid text)
        RETURNS SETOF billing.measurement LANGUAGE sql IMMUTABLE
        AS $$
            SELECT p_id, 1::smallint, p_tenant_id, 'sms', 'segment', p_message_sid, 5::numeric,
                NULL::text, '2025-11-14 10:00:00+00'::timestamptz
        $$
        """
    )
    priced.execute(
        "SELECT billing.meter_table('public.messages', 'public.measure_message', 'message_sid')"
    )
    assert send(priced, "SM1") == [("segment", 5)]
    reload(database, priced)
    assert send(priced, "SM2") == [("segment", 5)]


def test_a_table_detached_on_purpose_stays_detached(
    database: str, priced: Connection[TupleRow]
) -> None:
    priced.execute("SELECT billing.unmeter_table('public.messages')")
    reload(database, priced)
    assert [row[0] for row in priced.execute(METERED)] == ["calls"]
    assert send(priced, "SM1") == []


def test_a_table_that_the_application_dropped_does_not_stop_a_reload(
    database: str, priced: Connection[TupleRow]
) -> None:
    priced.execute("DROP TABLE messages")
    reload(database, priced)


def test_installing_again_after_an_uninstall_attaches_both_tables(
    database: str, priced: Connection[TupleRow]
) -> None:
    priced.execute("SELECT billing.unmeter_table('public.messages')")
    uninstall(database)
    migrate(database)
    assert sorted(row[0] for row in priced.execute(METERED)) == ["calls", "messages"]
    assert send(priced, "SM1") == [("message", 1)]


def test_a_session_in_which_backslashes_escape_counts_the_same(database: str) -> None:
    options = "-c standard_conforming_strings=off"
    with psycopg.connect(database, options=options) as connection:
        query = "SELECT encoding, segments FROM billing.sms_segments(%s)"
        assert connection.execute(query, ["a" * 160 + "|"]).fetchone() == ("GSM-7", 2)
        # What is set aside goes through this.
        query = "SELECT billing.hide_values('42501', 'no right to +442071234567')"
        assert connection.execute(query).fetchone() == ("no right to ...",)
