"""What others wrote: pinned by hash, listed, and looked up with no silent success."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pyapi.embedded import project
from supply.audit import audit
from supply.lock import LOCK, LockError, Pin, read_lock, requirements, shipped
from supply.sbom import find_fault, make_sbom

PINS = read_lock()


def test_all_that_development_asks_for_is_pinned_within_its_range() -> None:
    asked = requirements("dev")
    assert len(asked) > 20
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        pinned = [Version(pin.version) for pin in PINS if pin.name == name]
        assert pinned, f"{name} is not in {LOCK.name}: make lock"
        assert all(version in requirement.specifier for version in pinned), name


def test_a_pin_is_a_version_with_the_hashes_of_its_files() -> None:
    assert all(pin.hashes and pin.needed_by for pin in PINS)
    assert not any("://" in line for line in LOCK.read_text().splitlines())


def test_what_builds_is_pinned_too() -> None:
    assert {"hatchling", "setuptools"} <= {pin.name for pin in PINS}


def test_two_pins_of_a_package_are_never_for_the_same_python() -> None:
    markers = [(pin.name, pin.marker) for pin in PINS]
    assert len(set(markers)) == len(markers)
    assert {name for name, marker in markers if marker is None}.isdisjoint(
        name for name, marker in markers if marker is not None
    )


def test_a_line_that_is_no_pin_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements-dev.lock"
    for line in ("click", "click>=8", "click==8 --index-url here", "git+ssh://host/click"):
        lock.write_text(f"{line}\n")
        with pytest.raises(LockError):
            read_lock(lock)


def test_make_installs_nothing_without_its_hash() -> None:
    recipe = (project() / "Makefile").read_text().partition("$(STAMP):")[2].partition("\n\n")[0]
    installs = re.findall(r"\$\(PIP\).*", recipe)
    assert len(installs) == 3
    assert all("--require-hashes" in line for line in installs[:2])
    assert "--no-build-isolation --editable ." in installs[2]


def test_a_hash_that_does_not_match_stops_the_installation(tmp_path: Path) -> None:
    # An index of one file, as somebody could set up who wants other code to run here.
    wheel = tmp_path / "click-8.0.0-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    lock = tmp_path / "requirements-dev.lock"
    lock.write_text(f"click==8.0.0 \\\n    --hash=sha256:{'0' * 64}\n    # via irisx-usage\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "--no-index",
    ]
    where = ["--find-links", tmp_path, "--target", tmp_path / "site", "-r", lock]
    done = subprocess.run([*command, *where], capture_output=True, text=True)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "site").exists()


# The bill of materials


def test_the_bill_of_materials_is_valid_and_always_the_same() -> None:
    sbom = make_sbom(PINS)
    assert find_fault(sbom) is None
    assert make_sbom(read_lock()) == sbom
    assert "timestamp" not in json.loads(sbom)["metadata"]


def test_the_validator_finds_a_fault() -> None:
    sbom = json.loads(make_sbom(PINS))
    sbom["components"][0]["type"] = "rumour"
    assert find_fault(json.dumps(sbom)) is not None


def test_the_bill_of_materials_has_every_pin_with_its_hashes() -> None:
    found = json.loads(make_sbom(PINS))
    assert {
        (part["name"], part["version"]): {
            item["content"] for item in part["externalReferences"][0]["hashes"]
        }
        for part in found["components"]
    } == {(pin.name, pin.version): set(pin.hashes) for pin in PINS}
    references = {part["bom-ref"] for part in found["components"]} | {"irisx-usage"}
    edges = {item["ref"]: set(item.get("dependsOn", ())) for item in found["dependencies"]}
    assert edges.keys() == references
    assert set().union(*edges.values()) == references - {"irisx-usage"}


def test_it_tells_what_is_shipped_from_what_only_development_needs() -> None:
    found = json.loads(make_sbom(PINS))["components"]
    scopes = {part["name"]: part["scope"] for part in found}
    required = {"click", "psycopg", "psycopg-binary", "rich", "pygments", "yoyo-migrations"}
    assert required <= {name for name, scope in scopes.items() if scope == "required"}
    excluded = {name for name, scope in scopes.items() if scope == "excluded"}
    assert {"pytest", "matplotlib", "ruff", "hatchling"} <= excluded


def test_what_a_shipped_package_needs_is_shipped() -> None:
    pins = [
        Pin("rich", "1", None, [], {"irisx-usage"}),
        Pin("colours", "1", None, [], {"rich"}),
        Pin("names", "1", None, [], {"colours", "pytest"}),
        Pin("pytest", "1", None, [], {"irisx-usage"}),
    ]
    assert {"colours", "names"} <= shipped(pins)
    assert "pytest" not in shipped(pins)


# The audit, with a service of our own


@contextmanager
def _service(status: int, answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """A service with the answers of OSV; yields its address, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer(asked[-1])).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Three pins, two of them versions of one package."""
    path = tmp_path / "three.lock"
    pins = (("click", "8.0.0"), ("numpy", "2.2.6"), ("numpy", "2.5.5"))
    path.write_text(
        "".join(f"{name}=={version} \\\n    # via irisx-usage\n" for name, version in pins)
    )
    return path


def _audit(lock: Path, address: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supply", "audit", "--lock", lock]
    service = ["-s", "osv", "--osv-url", address]
    return subprocess.run([*command, *service], capture_output=True, text=True, cwd=project())


def test_the_audit_looks_every_pin_up_and_is_content(lock: Path) -> None:
    with _service(200, lambda _: {}) as (address, asked):
        done = _audit(lock, address)
    assert done.returncode == 0, done.stderr
    assert "3 pins, 3 looked up, 0 vulnerable" in done.stderr
    assert sorted((item["package"]["name"], item["version"]) for item in asked) == [
        ("click", "8.0.0"),
        ("numpy", "2.2.6"),
        ("numpy", "2.5.5"),
    ]


def test_the_audit_names_what_is_vulnerable(lock: Path) -> None:
    def answer(question: Any) -> Any:
        name = question["package"]["name"]
        if name != "click":
            return {}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
        return {"vulns": [{"id": "PYSEC-2026-1", "summary": "bad", "affected": affected}]}

    with _service(200, answer) as (address, _):
        done = _audit(lock, address)
    assert done.returncode == 1
    assert done.stdout == "click 8.0.0: PYSEC-2026-1, mended in 99\n"


def test_an_audit_that_nobody_answers_is_no_success(lock: Path) -> None:
    with _service(200, lambda _: {}) as (address, _):
        pass  # Gone again.
    done = _audit(lock, address)
    assert done.returncode == 3
    assert "3 pins, 0 looked up" in done.stderr
    assert "no all-clear" in done.stderr


def test_an_audit_of_what_its_service_does_not_know_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What pip-audit says, with exit status 0, beside an index that is not PyPI itself.
    said = json.dumps({"dependencies": [{"name": "click", "skip_reason": "not found on PyPI"}]})
    done = subprocess.CompletedProcess([], 0, said, "No known vulnerabilities found")
    monkeypatch.setattr("supply.audit.subprocess.run", lambda *_, **__: done)
    found = audit([Pin("click", "8.0.0", None, [], set())])
    assert found.unanswered == {"click 8.0.0": "not found on PyPI"}
