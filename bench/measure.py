"""What a measure is: a name, what it says, the figure to reach, and a round of samples."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.stage import Stage

AGAIN = "A/A"
"""What is compared with, measured once more in the same round: how far it differs is noise."""


@dataclass(frozen=True)
class Sample:
    """Of one variant in one round. cpu: the same counted in the server's CPU, where it is known."""

    value: float
    cpu: float | None = None


Samples = dict[str, Sample]


@dataclass(frozen=True)
class Aim:
    figure: float
    at_least: bool

    def is_reached(self, figure: float) -> bool:
        return figure >= self.figure if self.at_least else figure <= self.figure

    def share(self, figure: float) -> float:
        """How many times as good as this the figure is."""
        return figure / self.figure if self.at_least else self.figure / figure

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.figure:g}"


def at_least(figure: float) -> Aim:
    return Aim(figure, at_least=True)


def at_most(figure: float) -> Aim:
    return Aim(figure, at_least=False)


def ratio(sample: float, base: float) -> float:
    return sample / base


def speed(sample: float, base: float) -> float:
    """What times say of speeds, and speeds of times."""
    return base / sample


def difference(sample: float, base: float) -> float:
    return sample - base


def alone(sample: float, base: float) -> float:
    return sample


@dataclass(frozen=True)
class Measure:
    """The figure of a round: compare(sample of variants[0], sample of variants[1]).

    The other variants are shown beside it. run gives a round's samples, of all variants and AGAIN.
    is_once: too slow for each round.
    """

    name: str
    what: str
    unit: str
    aim: Aim | None
    variants: tuple[str, ...]
    run: Callable[[Stage], Samples]
    compare: Callable[[float, float], float] = ratio
    is_once: bool = False

    @property
    def base(self) -> str:
        """What AGAIN measures once more."""
        return self.variants[0 if self.compare is alone else 1]

    def figure(self, samples: Mapping[str, Sample]) -> float:
        return self.compare(samples[self.variants[0]].value, samples[self.base].value)

    def cpu_figure(self, samples: Mapping[str, Sample]) -> float | None:
        own, base = samples[self.variants[0]].cpu, samples[self.base].cpu
        return None if own is None or base is None else self.compare(own, base)

    def noise(self, samples: Mapping[str, Sample]) -> float | None:
        base = samples[self.base].value
        return samples[AGAIN].value / base if AGAIN in samples and base else None


def by_turns(
    name: str,
    what: str,
    unit: str,
    aim: Aim | None,
    variants: tuple[str, ...],
    sample: Callable[[Stage, str], Sample],
    compare: Callable[[float, float], float] = ratio,
    *,
    is_once: bool = False,
) -> Measure:
    """A measure whose variants are measured one after the other, in random order."""

    def run(stage: Stage) -> Samples:
        turns = [*variants, AGAIN]
        return {
            turn: sample(stage, measure.base if turn == AGAIN else turn)
            for turn in random.sample(turns, len(turns))
        }

    measure = Measure(name, what, unit, aim, variants, run, compare, is_once)
    return measure
