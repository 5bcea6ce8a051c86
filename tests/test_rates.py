"""Rate decks on the command line: any file is imported whole, or refused with what is wrong."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from pyapi import Client, cli
from pyapi.errors import BadTermsError, OverlappingRateError
from pyapi.rates import DeckError, instant, read_lines
from pyapi.text import guard, unguard

pytestmark = pytest.mark.newest

START = "2025-01-01"
MANY = 40_000


@pytest.fixture(autouse=True)
def no_database_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away every address that is not given on the command line."""
    for name in (*cli.VARIABLES, *cli.LIBPQ_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pyapi.embedded.running_conninfo", lambda: None)


class Deck:
    """irisx-usage rates on one database, with files of the test's own."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        self.file = folder / "deck.csv"

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(
            cli.main, ["-d", self.database, "rates", *(str(item) for item in arguments)]
        )

    def load(self, text: str | bytes, *options: object, at: str = START) -> Result:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.run(
            "import", self.file, "--card", "plan:starter", "--effective-from", at, *options
        )

    def changes(self, text: str | bytes, *options: object, at: str = START) -> list[dict[str, Any]]:
        result = self.load(text, *options, "-f", "json", at=at)
        assert result.exit_code == 0, result.output
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    def export(self, at: str = START) -> str:
        result = self.run("export", "--card", "plan:starter", "--at", at)
        assert result.exit_code == 0, result.output
        return result.stdout

    def prices(self, at: str = START) -> dict[str, Decimal]:
        rows = csv.DictReader(io.StringIO(self.export(at)))
        return {row["prefix"] + row["band"]: Decimal(row["unit_price"]) for row in rows}


@pytest.fixture
def deck(database: str, tmp_path: Path) -> Deck:
    return Deck(database, tmp_path)


def many(bad: str = "") -> str:
    """A deck of 40,000 prefixes, one line of it replaced."""
    rows = [f"{100_000 + 7 * n},0.{n % 997:04},dest {n}" for n in range(MANY)]
    if bad:
        rows[MANY // 2] = bad
    return "\n".join(["prefix,price,description", *rows, ""])


def count(db: Connection) -> int:
    row = db.execute("SELECT count(*) FROM pricing_rates WHERE plan_id IS NOT NULL").fetchone()
    assert row
    return int(row[0])


def test_a_dry_run_shows_everything_and_writes_nothing(db: Connection, deck: Deck) -> None:
    assert deck.load("prefix,price\n44,0.02\n447,0.05\n33,0.01\n").exit_code == 0
    text = "prefix,price\n44,0.03\n447,0.05\n49,0.04\n4x,1\n"
    result = deck.load(text, "--dry-run", "-f", "csv", at="2025-02-01")
    assert result.exit_code == 1
    rows = [tuple(row.values())[:6] for row in csv.DictReader(io.StringIO(result.stdout))]
    assert sorted(rows) == [
        ("added", "4", "49", "", "0.04", ""),
        ("changed", "2", "44", "0.02", "0.03", "unit_price 0.02 to 0.03"),
        ("ended", "", "33", "0.01", "", "not in the deck"),
        ("rejected", "5", "", "", "1", "malformed prefix: 4x"),
    ]
    said = "4 lines: 1 added, 1 changed, 1 unchanged, 1 ended, 1 rejected"
    assert said in result.stderr
    assert "dry run: nothing was written" in result.stderr
    assert deck.load(text, "--dry-run", "--skip-bad", at="2025-02-01").exit_code == 0
    assert count(db) == 3
    assert deck.prices("2025-02-01") == deck.prices()


def test_a_table_shows_all_bad_lines_and_a_sample_of_the_rest(deck: Deck) -> None:
    rows = [f"{1000 + n},{'x' if n % 2 else '1'}" for n in range(200)]
    result = deck.load("\n".join(["prefix,price", *rows]), "--dry-run")
    assert result.stdout.count("unit_price is not a number") == 100
    assert result.stdout.count("│ added") == 20
    assert "and 80 more changes" in result.stderr


def test_one_bad_line_in_40_000_refuses_all_of_them(db: Connection, deck: Deck) -> None:
    text = many(bad="12345678,0.0x,typing error")
    result = deck.load(text, "-f", "json")
    assert result.exit_code == 1
    (bad,) = json.loads(result.stdout)
    assert bad["action"] == "rejected"
    assert bad["line"] == MANY // 2 + 2
    assert bad["reason"] == "unit_price is not a number: 0.0x"
    assert "nothing was written" in result.stderr
    assert count(db) == 0
    skipped = deck.load(text, "--skip-bad")
    assert skipped.exit_code == 0, skipped.output
    assert "39,999 added" in skipped.stderr
    assert "0.0x" in skipped.stdout
    assert count(db) == MANY - 1
    again = deck.load(text, "--skip-bad", at="2025-02-01")
    assert "39,999 unchanged" in again.stderr
    assert count(db) == MANY - 1


def test_what_is_exported_imports_to_the_same_card(db: Connection, deck: Deck) -> None:
    text = (
        "prefix,unit_price,connection_fee,initial_increment,billing_increment,minimum_charge,"
        "description\n"
        '*,0.9,,,,,"everywhere, else"\n'
        "44,0.12345678901234567890,0.01,60,6,0.5,\"two\nlines and a \"\"quote\"\"\"\n"
        "447,0,0,0,0,0,\"'=HYPERLINK(1)\"\n"
        "31,0.02,,,,,'s-Gravenhage\n"
        "32,0.02,,,,,Gemüse\n"
    )  # fmt: skip
    deck.changes(text)
    exported = deck.export()
    assert "'=HYPERLINK(1)" in exported
    described = db.execute("SELECT description FROM pricing_rates WHERE prefix = '447'").fetchone()
    assert described == ("=HYPERLINK(1)",)
    assert deck.changes(exported, at="2025-02-01") == []
    assert deck.export("2025-02-01") == exported
    result = deck.run("import", deck.file, "--card", "plan:professional", "--effective-from", START)
    assert result.exit_code == 0, result.output
    other = deck.run("export", "--card", "plan:professional", "--at", START)
    assert other.stdout == exported


@pytest.mark.parametrize("text", ["", "=1+1", "'=1", "''@x", "'s-Hertogenbosch", "-", "a=b", "'"])
def test_no_cell_is_a_formula_and_none_is_lost(text: str) -> None:
    assert not guard(text).startswith(("=", "+", "-", "@"))
    assert unguard(guard(text)) == text
    if not text.strip("'").startswith(("=", "+", "-", "@")):
        assert guard(text) == text


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Prefix,Price\n+44 20,0.02\n1-204,0.03\n", []),
        ("\ufeffprefix,price\n4420,0.02\n1204,0.03\n", []),
        ("prefix,price\r\n4420,0.02\r\n1204,0.03\r\n", []),
        ("prefix;price\n4420;0.02\n1204;0.03\n", []),
        ("prefix;price\n4420;0,02\n1204;0,03\n", ["--decimal-comma"]),
        ("prefix\tprice\n4420\t0.02\n1204\t0.03\n", []),
        ("prefix~price\n4420~0.02\n1204~0.03\n", ["--delimiter", "~"]),
        ("Dial Code,Destination,Rate per minute\n4420,London,.02\n1204,Manitoba,3e-2\n", []),
        ("a,b,c\n4420,9,0.02\n1204,9,0.03\n", ["--map", "prefix=A", "--map", "unit_price=c"]),
        ("code,price\n004420,200\n001204,3e2\n",
         ["--international-prefix", "00", "--price-divisor", "10000"]),
        ("\n\nprefix,price\n\n4420,0.02\n,\n1204,0.03", []),
        ('"prefix","price"\n" 4420 "," 0.02 "\n"1204","0.03"\n', []),
        ("prefix,price,name\n4420,0.02,Gr\xfcn\n1204,0.03,x\n".encode("cp1252"),
         ["--encoding", "cp1252"]),
    ],
)  # fmt: skip
def test_however_a_deck_is_written(deck: Deck, text: str | bytes, options: list[str]) -> None:
    result = deck.load(text, *options)
    assert result.exit_code == 0, result.output
    assert deck.prices() == {"4420": Decimal("0.02"), "1204": Decimal("0.03")}


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", [], "the file is empty"),
        ("\n \n", [], "the file is empty"),
        ("prefix,price\n", [], "a header and no lines"),
        ("44,0.02\n45,0.03\n", [], "no column is known for prefix and unit_price"),
        ("prefix,amount\n44,0.02\n", [], "no column is known for unit_price"),
        ("prefix,price\n44,1\n", ["--map", "unit_price=cost"], "no one column 'cost'"),
        ("prefix,a,a\n44,1,2\n", ["--map", "unit_price=a"], "no one column 'a'"),
        ("prefix,price,name\n44,1,x\n45,1,Gr\xfcn\n".encode("cp1252"), [],
         "line 3 is not utf-8: byte 0xfc"),
        (b"prefix,price\n44,1\n45,\x001\n", [], "line 3 has a NUL character"),
        ('prefix,price\n44,1\n"45,1\n46,1\n', [], "line 3 cannot be read"),
        ("prefix,price\n44,1\n", ["--encoding", "klingon"], "unknown encoding"),
        ("prefix,price\n44,1\n", ["--card", "plan:none"], "unknown plan"),
        ("prefix,price\n44,1\n", ["--card", "tenant:99"], "unknown tenant"),
        ("prefix,price\n44,1\n", ["--calendar", "none"], "there is no calendar"),
        ("prefix,price\n44,1\n", ["--currency", "usd"], "currency is"),
        ("prefix,price\n44,1\n", ["--international-prefix", "+"], "the international prefix is"),
    ],
)  # fmt: skip
def test_what_is_no_deck_says_why(
    db: Connection, deck: Deck, text: str | bytes, options: list[str], said: str
) -> None:
    result = deck.load(text, *options)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert count(db) == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("44", "1 columns, where the header has 3"),
        ("44,1,2,3", "4 columns, where the header has 3"),
        ("44,,", "unit_price is missing"),
        ("44,-1,", "unit_price is negative: -1"),
        ("44,inf,", "unit_price is not finite: inf"),
        ("44,1,x", "billing_increment is not a number: x"),
        ("44,1,-6", "billing_increment is negative: -6"),
        ("44,1,60/x", "billing_increment is not a number: x"),
        ("4 4 0,1,", "the same prefix as on line 2"),
        ("*,0x10,", "unit_price is not a number: 0x10"),
        ("=44,1,", "malformed prefix: =44"),
    ],
)
def test_a_bad_line_is_told_with_its_number(deck: Deck, line: str, reason: str) -> None:
    result = deck.load(f"prefix,price,increment\n440,1,60/6\n{line}\n", "-f", "json")
    assert result.exit_code == 1
    found = {item["line"]: item["reason"] for item in json.loads(result.stdout)}
    assert found[3] == reason


def test_the_number_of_a_line_counts_the_lines_of_quoted_cells(deck: Deck) -> None:
    result = deck.load('prefix,price,name\n44,1,"two\nlines"\n45,x,\n', "-f", "json")
    assert [item["line"] for item in json.loads(result.stdout)] == [4]


def test_a_price_entered_ahead_stands_in_the_way_until_it_is_replaced(
    db: Connection, deck: Deck
) -> None:
    deck.changes("prefix,price\n44,0.02\n49,0.01\n")
    deck.changes("prefix,price\n44,0.05\n49,0.01\n", at="2999-06-01")
    refused = deck.load("prefix,price\n44,0.03\n49,0.01\n", "-f", "json", at="2999-01-01")
    assert refused.exit_code == 1
    (conflict,) = json.loads(refused.stdout)
    assert (conflict["action"], conflict["prefix"]) == ("conflict", "44")
    assert "--replace-future" in refused.stderr
    assert count(db) == 3
    replaced = deck.changes("prefix,price\n44,0.03\n49,0.01\n", "--replace-future", at="2999-01-01")
    assert sorted(item["action"] for item in replaced) == ["changed", "withdrawn"]
    assert deck.prices("2998-12-31")["44"] == Decimal("0.02")
    assert deck.prices("2999-12-31")["44"] == Decimal("0.03")


def test_a_deck_for_the_past_ends_what_held_then(deck: Deck) -> None:
    deck.changes("prefix,price\n44,0.02\n")
    result = deck.load("prefix,price\n44,0.03\n", at="2025-02-01T12:00:00+02:00")
    assert "until it is re-rated" in result.stderr
    assert deck.prices("2025-02-01T09:59:59Z") == {"44": Decimal("0.02")}
    assert deck.prices("2025-02-01T10:00:00Z") == {"44": Decimal("0.03")}
    before = deck.load("prefix,price\n44,0.04\n", "--replace-future", at="2025-01-15")
    assert before.exit_code == 1
    assert "begins later" in before.stdout


def test_keep_missing_leaves_what_the_file_does_not_name(deck: Deck) -> None:
    deck.changes("prefix,price\n44,0.02\n49,0.01\n")
    deck.changes("prefix,price\n44,0.03\n", "--keep-missing", at="2025-02-01")
    assert deck.prices("2025-02-01") == {"44": Decimal("0.03"), "49": Decimal("0.01")}
    deck.changes("prefix,price\n44,0.03\n", at="2025-03-01")
    assert deck.prices("2025-03-01") == {"44": Decimal("0.03")}


def test_a_deck_leaves_other_models_alone(db: Connection, deck: Deck) -> None:
    db.execute(
        "INSERT INTO pricing_rates (plan_id, channel, resource_type, prefix, unit_price,"
        " charge_model, terms, effective_from) VALUES (2, 'voice', 'minute', '', 0.1, 'stepped',"
        """ '{"steps": [{"from": 0, "unit_price": 0.1, "per": 60, "increment": 60}]}', %s)""",
        [START],
    )
    deck.changes("prefix,price\n44,0.02\n", at="2025-02-01")
    result = deck.run("list", "--card", "plan:starter", "--at", "2025-02-02", "-f", "json")
    assert [row["charge_model"] for row in json.loads(result.stdout)] == ["stepped", "per_unit"]
    exported = deck.run("export", "--card", "plan:starter", "--at", "2025-02-02")
    assert "1 prices have terms that a deck cannot say" in exported.stderr
    refused = deck.load("prefix,price\n*,0.02\n44,0.02\n", at="2025-03-01")
    assert refused.exit_code == 1
    assert "has terms that a deck cannot say" in refused.stdout


def test_bands_of_the_day_come_in_and_go_out(db: Connection, deck: Deck) -> None:
    db.execute("INSERT INTO calendars (name, timezone) VALUES ('office', 'Europe/Rome')")
    db.execute(
        "INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time)"
        " SELECT id, 'peak', day, '08:00', '18:30' FROM calendars, generate_series(1, 5) AS day"
    )
    text = (
        "prefix,price,increment,time slot\n39,0.01,60/60,off_peak\n39,0.02,,peak\n44,0.03,,flat\n"
    )
    options = ("--calendar", "office", "--base-band", "off_peak")
    assert len(deck.changes(text, *options)) == 2
    assert deck.prices() == {
        "39": Decimal("0.01"),
        "39peak": Decimal("0.02"),
        "44": Decimal("0.03"),
    }
    assert deck.changes(text, *options, at="2025-02-01") == []
    assert deck.changes(deck.export(), "--calendar", "office", at="2025-02-01") == []
    dearer = text.replace("0.02", "0.025")
    (change,) = deck.changes(dearer, *options, at="2025-02-01")
    assert (change["prefix"], change["reason"]) == ("39", "prices of bands")

    def reasons(text: str, *options: str) -> list[str]:
        result = deck.load(text, *options, "-f", "json", at="2025-03-01")
        assert result.exit_code == 1
        return [item["reason"] for item in json.loads(result.stdout)]

    assert reasons(text) == [
        "band off_peak, and no calendar is given",
        "band peak, and no calendar is given",
    ]
    assert reasons(text, "--calendar", "office") == [
        "the calendar has no band off_peak",
        "there is no flat price beside the bands of this prefix",
    ]
    without = "prefix,price,band\n39,0.02,peak\n44,0.03,\n"
    assert reasons(without, "--calendar", "office") == [
        "there is no flat price beside the bands of this prefix"
    ]


def test_list_diff_and_gaps(deck: Deck) -> None:
    deck.changes("prefix,price\n44,0.02\n447,0.05\n33,0.01\n")
    deck.changes("prefix,price\n44,0.03\n33,0.01\n1,0.1\n", at="2025-02-01")
    deck.changes("prefix,price\n44,0.03\n33,0.01\n1,0.1\n447,0.05\n", at="2025-03-01")
    card = ("--card", "plan:starter", "-f", "json")
    listed = json.loads(
        deck.run("list", *card, "--prefix", "+44", "--at", "2025-01-31T23:59:59Z").stdout
    )
    assert [(row["prefix"], Decimal(row["unit_price"])) for row in listed] == [
        ("44", Decimal("0.02")),
        ("447", Decimal("0.05")),
    ]
    diff = json.loads(deck.run("diff", *card, "--from", START, "--to", "2025-02-01").stdout)
    assert [(row["action"], row["prefix"]) for row in diff] == [
        ("added", "1"),
        ("changed", "44"),
        ("ended", "447"),
    ]
    assert json.loads(deck.run("diff", *card, "--from", START, "--to", START).stdout) == []
    gaps = json.loads(deck.run("gaps", *card).stdout)
    assert [(row["prefix"], row["steps_in"]) for row in gaps] == [("447", "44")]
    assert gaps[0]["gap_from"].startswith("2025-02-01")
    assert gaps[0]["gap_until"].startswith("2025-03-01")
    assert json.loads(deck.run("gaps", *card, "--since", "2025-03-01").stdout) == []
    shown = deck.run("gaps", "--card", "plan:starter")
    assert "2025-02-01 00:00:00 UTC" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "FILE"],
        ["import", "FILE", "--card", "starter", "--effective-from", START],
        ["import", "FILE", "--card", "default", "--effective-from", "soon"],
        ["import", "FILE", "--card", "default", "--effective-from", "2025-02-30"],
        ["import", "FILE", "--card", "default", "--effective-from", START, "--map", "x=y"],
        ["import", "FILE", "--card", "default", "--effective-from", START, "--price-divisor", "0"],
        ["import", "FILE", "--card", "default", "--effective-from", START, "--delimiter", ";;"],
        ["import", "nowhere.csv", "--card", "default", "--effective-from", START],
        ["export"],
        ["diff", "--card", "default"],
        ["nonsense"],
    ],
)
def test_misuse_is_2(deck: Deck, arguments: list[str]) -> None:
    deck.file.write_text("prefix,price\n44,1\n")
    result = deck.run(*(str(deck.file) if item == "FILE" else item for item in arguments))
    assert (result.exit_code, result.stdout) == (2, ""), result.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T18:00", "2026-01-31T18:00:00+00:00"),
        ("2026-01-31 18:00:30Z", "2026-01-31T18:00:30+00:00"),
        ("2026-01-31T18:00+01", "2026-01-31T18:00:00+01:00"),
        ("2026-01-31T18:00-05:30", "2026-01-31T18:00:00-05:30"),
    ],
)
def test_instants(text: str, expected: str) -> None:
    assert instant(text).isoformat() == expected


def test_the_reader_names_fields_and_numbers_lines() -> None:
    data = b"Code;Name;Price\n44;UK;1\n\n45;;2\n"
    assert read_lines(data, {}, increments="60/60") == [
        {
            "line": 2,
            "prefix": "44",
            "unit_price": "1",
            "description": "UK",
            "billing_increment": "60/60",
        },
        {
            "line": 4,
            "prefix": "45",
            "unit_price": "2",
            "description": "",
            "billing_increment": "60/60",
        },
    ]
    with pytest.raises(DeckError):
        read_lines(b"", {})


def test_a_client_imports_in_its_callers_transaction(database: str, db: Connection) -> None:
    good = [{"line": 1, "prefix": "44", "unit_price": "0.02"}]
    bad = [{"line": 1, "prefix": "44", "unit_price": "NaN"}]
    with Client(database) as client:
        at = instant(START)
        assert client.compare_deck(good, "plan:starter", "voice", "minute", at)[0].rate_id is None
        assert count(db) == 0
        (change,) = client.import_deck(good, "plan:starter", "voice", "minute", at)
        assert (change.action, change.new_price) == ("added", Decimal("0.02"))
        with pytest.raises(BadTermsError):
            client.import_deck(bad, "plan:starter", "voice", "minute", at)
        with pytest.raises(OverlappingRateError):
            client.import_deck([], "plan:starter", "voice", "minute", at)
    with db.transaction(force_rollback=True):
        client = Client(db)
        client.import_deck(good, "plan:professional", "voice", "minute", at)
        client.import_deck(good, "plan:enterprise", "voice", "minute", at)
        assert count(db) == 3
    assert count(db) == 1
