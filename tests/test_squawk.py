"""What squawk has against the migrations that have not landed yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyapi.embedded import project

LANDED = 11
"""The last migration that had landed when squawk came; those are never edited."""


def _squawk(*files: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "squawk"
    command = [program, "--config", project() / ".squawk.toml", "--reporter", "gcc", *files]
    return subprocess.run(command, capture_output=True, text=True, cwd=project())


def test_no_migration_locks_or_rewrites_what_it_need_not() -> None:
    files = [
        file
        for file in (project() / "db" / "migrations").glob("*.sql")
        # A rollback is there to drop things.
        if int(file.name[:4]) > LANDED and not file.name.endswith(".rollback.sql")
    ]
    if not files:
        pytest.skip(f"there is no migration after {LANDED}")
    done = _squawk(*sorted(files))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_faulty_migration_is_found(tmp_path: Path) -> None:
    migration = tmp_path / "9999_faulty.sql"
    migration.write_text("ALTER TABLE billing.usage_records ADD CHECK (quantity > 0);\n")
    done = _squawk(migration)
    assert done.returncode == 1
    assert "constraint-missing-not-valid" in done.stdout
