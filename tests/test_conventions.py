"""How the SQL files are laid out: what a reader may rely on when opening any of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyapi.deploy import STAGES
from pyapi.embedded import project

DB = project() / "db"
FUNCTIONS = sorted((DB / "functions").rglob("*.sql"))
MIGRATIONS = sorted((DB / "migrations").glob("*.sql"))
TESTS = sorted((DB / "tests").glob("*.sql"))

# A function or view, as a file creates it.
CREATED = re.compile(
    r"^CREATE (?:OR REPLACE )?(FUNCTION|VIEW|PROCEDURE|AGGREGATE) ([\w.]+)", re.MULTILINE
)
# Whatever is named of the schema; those that are a file's name are functions and views of ours.
REFERENCE = re.compile(r"\bbilling\.(\w+)")


def stage(file: Path) -> str:
    return file.parent.name


def statements(text: str) -> str:
    """The text without comments, COMMENT ON and whole sentences, which may speak of anything."""
    text = re.sub(r"'[A-Z](?:[^'\n]|'')*\.'", "''", text)
    text = re.sub(r"^COMMENT ON .*?(?<!')(?:'')*';$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"--.*", "", text)


STAGE_OF = {file.stem: stage(file) for file in FUNCTIONS}


def name_of(file: Path) -> str:
    return str(file.relative_to(DB))


def test_there_is_something_to_read() -> None:
    assert len(FUNCTIONS) > 50
    assert len(MIGRATIONS) >= 8
    assert len(TESTS) > 10
    assert {stage(file) for file in FUNCTIONS} <= set(STAGES)


def test_the_stages_are_those_of_the_house() -> None:
    order = "measure rate record summarize report credit invoice operate"
    assert tuple(order.split()) == STAGES


@pytest.mark.parametrize("file", FUNCTIONS, ids=name_of)
def test_the_first_line_names_the_stage(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    assert re.fullmatch(rf"-- {stage(file)}: \S.*", first)


@pytest.mark.parametrize("file", FUNCTIONS, ids=name_of)
def test_a_file_holds_one_function_or_view_of_its_name(file: Path) -> None:
    created = [name for _, name in CREATED.findall(file.read_text())]
    assert created == [f"billing.{file.stem}"]


@pytest.mark.parametrize("file", FUNCTIONS, ids=name_of)
def test_a_file_comments_what_it_creates(file: Path) -> None:
    text = file.read_text()
    ((kind, name),) = CREATED.findall(text)
    assert re.search(rf"^COMMENT ON {kind} {re.escape(name)} IS", text, re.MULTILINE)


def test_no_name_is_used_twice() -> None:
    assert len(STAGE_OF) == len(FUNCTIONS)


@pytest.mark.parametrize("file", FUNCTIONS, ids=name_of)
def test_a_stage_refers_only_to_itself_and_to_stages_before_it(file: Path) -> None:
    here = STAGES.index(stage(file))
    later = {
        f"{STAGE_OF[name]}/{name}"
        for name in REFERENCE.findall(statements(file.read_text()))
        if name in STAGE_OF and STAGES.index(STAGE_OF[name]) > here
    }
    assert not later


@pytest.mark.parametrize(
    "file", [file for file in FUNCTIONS if stage(file) not in ("measure", "operate")], ids=name_of
)
def test_only_measure_reads_calls_and_messages(file: Path) -> None:
    assert not re.search(r"\bpublic\.(calls|messages)\b", statements(file.read_text()))


@pytest.mark.parametrize(
    "file", [file for file in FUNCTIONS if stage(file) != "record"], ids=name_of
)
def test_only_record_writes_records(file: Path) -> None:
    pattern = r"INSERT\s+INTO\s+billing\.usage_records\b|UPDATE\s+billing\.usage_records\b"
    assert not re.search(pattern, statements(file.read_text()))


@pytest.mark.parametrize("file", FUNCTIONS, ids=name_of)
def test_a_backslash_means_the_same_in_every_session(file: Path) -> None:
    """In a plain string, standard_conforming_strings = off makes it the beginning of an escape."""
    part = r"'(?:[^'\\]|\\.|'')*'"
    escaped = re.compile(rf"\bE{part}(?:\s*\n\s*{part})*", re.DOTALL)
    assert "\\" not in escaped.sub("", re.sub("--.*", "", file.read_text()))


@pytest.mark.parametrize("file", FUNCTIONS, ids=name_of)
def test_only_the_guard_catches_everything(file: Path) -> None:
    guards = {
        "record_changes",
        "record_or_set_aside",
        "record_row",
        "retry_row",
        "record_batch",
        "compose_row_trigger",
        "compose_statement_trigger",
    }
    assert ("WHEN OTHERS" in file.read_text()) == (file.stem in guards)


@pytest.mark.parametrize(
    "file",
    [file for file in MIGRATIONS if not file.name.endswith(".rollback.sql")],
    ids=name_of,
)
def test_a_migration_has_a_rollback_and_defines_no_function(file: Path) -> None:
    assert re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", file.name)
    assert file.with_name(f"{file.stem}.rollback.sql").exists()
    assert not re.search(
        r"\bCREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE|VIEW|TRIGGER)\b",
        statements(file.read_text()),
        re.IGNORECASE,
    )


def test_every_rollback_has_its_migration() -> None:
    rollbacks = [file for file in MIGRATIONS if file.name.endswith(".rollback.sql")]
    assert rollbacks
    for file in rollbacks:
        assert file.with_name(file.name.replace(".rollback", "")).exists()


@pytest.mark.parametrize("file", TESTS, ids=name_of)
def test_a_test_file_leaves_nothing_behind_and_says_what_it_promises(file: Path) -> None:
    lines = file.read_text().strip().splitlines()
    assert re.fullmatch(r"-- \S.*\.", lines[0])
    assert re.fullmatch(r"BEGIN( ISOLATION LEVEL REPEATABLE READ)?;", lines[1])
    assert re.fullmatch(r"SELECT plan\([1-9]\d*\);", lines[2])
    assert lines[-2:] == ["SELECT * FROM finish();", "ROLLBACK;"]
    assert not re.search(r"^\s*COMMIT\b", "\n".join(lines), re.MULTILINE | re.IGNORECASE)
