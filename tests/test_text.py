"""Other people's text: in cells no formula, on terminals nothing that steers them."""

from __future__ import annotations

import csv
import io
import re

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pyapi import alerts, cli
from pyapi.client import Explanation
from pyapi.rates import read_lines
from pyapi.text import guard, printable, printable_lines, unguard

NASTY = st.text(
    st.sampled_from("=+-@'\"\t\r\n; ,|1.5ax\x00\x1b\x9b\u202e\ufeff\uff1d"), max_size=12
)


@given(NASTY)
def test_a_guarded_text_comes_back(text: str) -> None:
    assert unguard(guard(text)) == text


@given(NASTY)
def test_no_cell_begins_a_formula_wherever_a_spreadsheet_may_begin_one(text: str) -> None:
    for cell in re.split(r"[;\t\r\n]", guard(text)):
        if not re.fullmatch(r"[+-]?\d+(\.\d+)?", cell):
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\uff1d"))


@pytest.mark.parametrize("text", ["+46", "+442079460000", "-5", "-0.25", "1", "a=b", "it's", "'46"])
def test_numbers_and_plain_texts_stay_what_they_are(text: str) -> None:
    assert guard(text) == text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "\t=1", "\r=1", ' "=1', "a;=1", "\uff1d1"],
)
def test_formulas_are_guarded(text: str) -> None:
    assert guard(text) != text
    assert unguard(guard(text)) == text


@given(NASTY.filter(lambda text: "\0" not in text))
def test_a_description_is_read_back_from_csv_as_it_was(description: str) -> None:
    @cli.click.command()
    def export() -> None:
        cli._print_csv(("prefix", "unit_price", "description"), [("46", "0.01", description)])

    # The runner's standard output would translate ends of lines on some systems.
    printed = CliRunner().invoke(export).stdout_bytes
    (line,) = read_lines(printed, {}, delimiter=",")
    assert (line["prefix"], line["description"]) == ("46", description)


def test_csv_guards_texts_and_nothing_else() -> None:
    @cli.click.command()
    def export() -> None:
        row = ("=1", cli.Decimal("-1.5"), [{"a": "=1"}], {"a": "b;=1"})
        cli._print_csv(("text", "number", "list", "object"), [row])

    result = CliRunner().invoke(export)
    (_, row) = csv.reader(io.StringIO(result.stdout))
    assert row == ["'=1", "-1.5", '[{"a": "=1"}]', '{"a": "b;\'=1"}']


def test_what_steers_a_terminal_is_written_out() -> None:
    text = "a\x1b[31mred\x9b0m\x07\u202eb\r\n[bold]c[/bold] \u0430\u0444 caf\u00e9"
    assert printable(text) == (
        "a\\x1b[31mred\\x9b0m\\x07\\u202eb\\r\\n[bold]c[/bold] \u0430\u0444 caf\u00e9"
    )
    assert printable_lines("a\nb\x1b") == "a\nb\\x1b"


def test_a_table_shows_hostile_text_as_it_is() -> None:
    hostile = "[red]x[/red] [link=http://evil]y[/link] :smile: \x1b]8;;http://evil\x1b\\ %s %n"
    row = Explanation(1, hostile, hostile, None)

    @cli.click.command()
    def shown() -> None:
        cli.print_titled(hostile, cli.make_table(cli.COLUMNS[Explanation], [row]))
        cli._say(hostile)

    result = CliRunner().invoke(shown)
    assert result.exit_code == 0, result.output
    assert result.stdout.count(printable(hostile)) == 3
    assert printable(hostile) in result.stderr
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http:///x",
        "gopher://127.0.0.1",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
    ],
)
def test_a_webhook_goes_to_no_file_and_no_metadata_service(address: str) -> None:
    with pytest.raises(ValueError, match=r"address$"):
        alerts._refuse_address(address)
