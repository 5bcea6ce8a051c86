"""The benchmark: what it says is what it measured, and it measures only what works."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench import report
from bench.__main__ import main
from bench.figures import Figures, ServerFigures
from bench.measure import AGAIN, Measure, Sample, alone, at_least, at_most, difference, ratio, speed
from bench.measures import MEASURES
from bench.stage import QUICK
from pyapi.embedded import installed


def measure(**fields: object) -> Measure:
    given: dict[str, object] = {
        "name": "m",
        "what": "a / b",
        "unit": "rows/s",
        "aim": at_least(0.9),
        "variants": ("a", "b"),
        "run": lambda stage: {},
    }
    return Measure(**given | fields)  # type: ignore[arg-type]


def figures(*rounds: tuple[float, float, float]) -> Figures:
    samples = [
        {"a": Sample(a, a / 2), "b": Sample(b, b / 4), AGAIN: Sample(again)}
        for a, b, again in rounds
    ]
    server = ServerFigures(18, "18.4", verified=3, rounds={"m": samples})
    return Figures("2026-01-01", "a machine", "fsync = on", "2 rounds", [server])


def test_every_measure_has_a_name_of_its_own_and_something_to_compare_with() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES) > 15
    assert all(len(m.variants) > 1 for m in MEASURES if m.compare is not alone)


@pytest.mark.parametrize(
    ("compare", "expected"), [(ratio, 0.5), (speed, 2), (difference, -2), (alone, 2)]
)
def test_a_figure_compares_the_first_variant_with_the_second(
    compare: object, expected: float
) -> None:
    samples = {"a": Sample(2), "b": Sample(4)}
    assert measure(compare=compare).figure(samples) == expected


def test_the_median_over_the_rounds_is_judged_and_the_noise_is_beside_it() -> None:
    (server,) = figures((50, 100, 90), (80, 100, 110), (100, 100, 100)).servers
    row = report.judge(server, measure())
    assert row == ("0.80 (0.50-1.00)", ">= 0.9", "no", "1.00 (0.90-1.10)", "1.60 (1.00-2.00)")
    assert report.judge(server, measure(aim=at_most(0.8)))[2] == "yes"
    assert report.judge(server, measure(aim=None))[2] == "-"


def test_what_failed_is_not_reached_whatever_was_measured_before() -> None:
    (server,) = figures((100, 100, 100)).servers
    server.failures["m"] = "a row was not recorded"
    assert report.judge(server, measure())[:3] == ("FAILED", ">= 0.9", "no")


def test_a_killed_run_leaves_its_figures(tmp_path: Path) -> None:
    kept = figures((50, 100, 90))
    kept.save(tmp_path / "figures.json")
    assert Figures.load(tmp_path / "figures.json") == kept


def test_the_report_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    kept = figures((50, 100, 90), (80, 100, 110))
    shown = measure(name="bulk", variants=("tracked", "floor"))
    samples = {"tracked": Sample(50), "floor": Sample(100), AGAIN: Sample(101)}
    kept.servers[0].rounds["bulk"] = [samples]
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        report.write(folder, kept, [measure(), shown])
    files = sorted((tmp_path / "one").iterdir())
    assert [file.name for file in files] == [
        "performance-aims.svg",
        "performance-speeds-18.svg",
        "performance.md",
    ]
    for file in files:
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()


@pytest.fixture
def without_deck(monkeypatch: pytest.MonkeyPatch) -> None:
    """single-4 meets no deck, and 35,000 prefixes take long to enter."""
    monkeypatch.setattr("bench.__main__.QUICK", replace(QUICK, deck=0))


def run(request: pytest.FixtureRequest, *arguments: str) -> Result:
    asked = request.config.getoption("--pg") or os.environ.get("IRISX_TEST_PG")
    major = asked.split(",")[0] if asked else next(map(str, installed()), None)
    if major is None:
        pytest.skip("needs a PostgreSQL of its own, and none is installed here")
    return CliRunner().invoke(main, ["run", "--pg", major, "--quick", "--rounds", "1", *arguments])


@pytest.mark.usefixtures("without_deck")
def test_a_measure_runs_on_a_server_of_its_own(request: pytest.FixtureRequest) -> None:
    result = run(request, "--only", "single-4")
    assert result.exit_code == 0, result.output
    assert "billing.verify() was empty after each of 1 tracked measurements" in result.output


@pytest.mark.usefixtures("without_deck")
def test_updates_that_did_not_complete_are_no_figures(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.updates.COMPLETE", "status = 'ringing'")
    result = run(request, "--only", "single-4")
    assert result.exit_code == 1
    assert "FAILED" in result.output
