"""pgTAP, one SQL file written by others: the project fetches it and does not carry it.

In this order: an extension installed with a PostgreSQL found here; what an earlier run fetched; the
Debian package, unpacked without root; the PGXN distribution. If none is to be had the tests fail
and say so.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from psycopg import Connection

from pyapi.embedded import installed, project

CACHE = project() / ".cache" / "pgtap"
SCHEMA = "tap"


class Unavailable(RuntimeError):
    """Why pgTAP could not be had in one way; raised when it could not be had in any."""


def load(connection: Connection) -> None:
    """Into a schema of its own, by any role: CREATE EXTENSION would need a superuser."""
    lines = _source().read_text().splitlines()
    # What speaks to psql (\echo Use "CREATE EXTENSION pgtap" \quit) is no SQL.
    statements = "\n".join(line for line in lines if not line.startswith("\\"))
    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    connection.execute(f"SET LOCAL search_path = {SCHEMA}")
    connection.execute(statements.encode())


@functools.cache
def _source() -> Path:
    if found := _newest(_extension_folders()):
        return found
    cached = CACHE / "pgtap.sql"
    if cached.exists():
        return cached
    CACHE.mkdir(parents=True, exist_ok=True)
    reasons = []
    for fetch in (_from_debian, _from_pgxn):
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            draft = Path(scratch) / "pgtap.sql"
            try:
                draft.write_text(fetch(Path(scratch)))
            except (Unavailable, OSError, subprocess.SubprocessError) as reason:
                reasons.append(f"{fetch.__name__[1:]}: {reason}")
                continue
            draft.replace(cached)  # Whole or not at all: a killed run leaves no half of it.
            return cached
    raise Unavailable(
        "pgTAP is needed for db/tests and could not be fetched ("
        + "; ".join(reasons)
        + "). Install it (Debian: postgresql-15-pgtap; elsewhere: pgxn install pgtap), "
        f"or put its pgtap.sql at {cached}"
    )


def _extension_folders() -> Iterable[Path]:
    for major, bin_dir in installed().items():
        share = bin_dir.resolve().parent / "share"
        yield share / "postgresql" / "extension"
        yield share / f"postgresql@{major}" / "extension"
        yield share / "extension"
        yield Path(f"/usr/share/postgresql/{major}/extension")


def _newest(folders: Iterable[Path]) -> Path | None:
    """The whole of pgTAP in its newest version, passing over its parts and its upgrade scripts."""
    found = {
        tuple(map(int, match[1].split("."))): path
        for folder in folders
        for path in folder.glob("pgtap--*.sql")
        if (match := re.fullmatch(r"pgtap--([\d.]+)\.sql", path.name))
    }
    return found[max(found)] if found else None


def _from_debian(scratch: Path) -> str:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable("no apt-get here")
    packages = _debian_packages(options := ["-o", "APT::Sandbox::User=root"])
    if not packages:
        # No package lists (a container image): fetch some, into a folder of our own.
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (scratch / folder).mkdir(parents=True)
        options += ["-o", f"Dir::State={scratch}/state", "-o", f"Dir::Cache={scratch}/cache"]
        options += ["-o", "Dir::State::status=/var/lib/dpkg/status"]
        _run("apt-get", *options, "update")
        packages = _debian_packages(options)
    if not packages:
        raise Unavailable("no package postgresql-*-pgtap")
    _run("apt-get", *options, "download", packages[-1], cwd=scratch)
    _run("dpkg-deb", "-x", str(next(scratch.glob("*.deb"))), str(scratch / "package"))
    found = _newest(scratch.glob("package/usr/share/postgresql/*/extension"))
    if found is None:
        raise Unavailable(f"nothing usable in {packages[-1]}")
    return found.read_text()


def _debian_packages(options: list[str]) -> list[str]:
    pattern = r"^postgresql-[0-9]+-pgtap$"
    listing = _run("apt-cache", *options, "search", "--names-only", pattern)
    return sorted(line.split()[0] for line in listing.splitlines())


def _from_pgxn(scratch: Path) -> str:
    """Build the file as pgTAP's own Makefile does for every PostgreSQL since 10."""
    pgxn = Path(sys.executable).parent / "pgxn"
    _run(str(pgxn), "download", "--target", str(scratch), "pgtap")
    with zipfile.ZipFile(next(scratch.glob("*.zip"))) as archive:
        names = archive.namelist()
        control, template = (
            archive.read(next(name for name in names if name.endswith(end))).decode()
            for end in ("/pgtap.control", "/sql/pgtap.sql.in")
        )
    version = re.search(r"default_version\s*=\s*'(\d+\.\d+)", control)
    if version is None:
        raise Unavailable("its pgtap.control names no version")
    for name, value in {
        "MODULE_PATHNAME": "pgtap",
        "__OS__": platform.system().lower(),
        "__VERSION__": version[1],
    }.items():
        template = template.replace(name, value)
    return template


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise Unavailable(f"{' '.join(command[:1])}: {lines[-1]}")
    return done.stdout
