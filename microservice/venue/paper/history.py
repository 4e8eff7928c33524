"""The seeded past of a symbol: what the price did before the venue first opened.

It is walked backwards from the opening price, so that it joins the live price without a jump, and it is a pure
function of seed and anchor: nothing of it is stored, it is made again when first asked for (some 50 ms a symbol).
"""

import math

from microservice.venue.model import Timeframe
from microservice.venue.paper.bars import Bar, fold_bars, fold_ticks
from microservice.venue.paper.calendar import bar_open_s
from microservice.venue.paper.noise import gaussian, noise_key
from microservice.venue.paper.symbols import SymbolSpec

_MINUTE = 60
_DAY = 86_400
PULL_S = 10 * _DAY
"""Time in which the price drifts back to its reference: keeps it sane over months, invisible over minutes."""
TICKS_PER_S = 4
"""What a live symbol makes; a tick of the sparser past stands for as many as would have fallen into its place."""

# How densely the past is sampled: (finest bar made, seconds between ticks, reach into the past in seconds). The
# reaches give 1,560 M1, 312 M5, 860 M15, 430 M30, 215 H1, 420 H4 and 70 D1 bars for about 29,000 ticks.
_ZONES = (
    (Timeframe.M1, 6, 26 * 60 * _MINUTE),
    (Timeframe.M15, 60, 9 * _DAY),
    (Timeframe.H4, 1_800, 70 * _DAY),
)


def seeded_history(spec: SymbolSpec, seed: int, anchor_s: int, anchor_points: int) -> dict[Timeframe, list[Bar]]:
    """Return the bars of every timeframe up to ``anchor_s``, oldest first; the last may be unfinished there."""
    walk = _Walk(spec, noise_key(seed, f"history:{spec.name}"), anchor_points)
    newest, middle, oldest = (
        _zone(walk, anchor_s, number) for number in range(len(_ZONES))
    )  # newest first: the walk goes one way only
    weights = [spacing * TICKS_PER_S for _, spacing, _ in _ZONES]
    minute = fold_ticks(Timeframe.M1, newest, weights[0])
    five = fold_bars(Timeframe.M5, minute)
    quarter = [*fold_ticks(Timeframe.M15, middle, weights[1]), *fold_bars(Timeframe.M15, five)]
    half = fold_bars(Timeframe.M30, quarter)
    hour = fold_bars(Timeframe.H1, half)
    four = [*fold_ticks(Timeframe.H4, oldest, weights[2]), *fold_bars(Timeframe.H4, hour)]
    return {
        Timeframe.M1: minute,
        Timeframe.M5: five,
        Timeframe.M15: quarter,
        Timeframe.M30: half,
        Timeframe.H1: hour,
        Timeframe.H4: four,
        Timeframe.D1: fold_bars(Timeframe.D1, four),
    }


def _boundary(anchor_s: int, number: int) -> int:
    """Where a zone begins: on a bar of the next zone's finest timeframe, so that no bar mixes two densities."""
    reach = anchor_s - _ZONES[number][2]
    coarser = _ZONES[number + 1][0] if number + 1 < len(_ZONES) else Timeframe.D1
    return bar_open_s(coarser, reach)


def _zone(walk: "_Walk", anchor_s: int, number: int) -> list[tuple[int, int]]:
    spacing = _ZONES[number][1]
    until = anchor_s if number == 0 else _boundary(anchor_s, number - 1)
    since = _boundary(anchor_s, number)
    ticks = [(time_s, walk.step(spacing)) for time_s in range(until - spacing, since - 1, -spacing)]
    ticks.reverse()
    return ticks


class _Walk:
    def __init__(self, spec: SymbolSpec, key: int, anchor_points: int) -> None:
        self._scale = int(10**spec.digits)
        self._level = math.log(anchor_points / self._scale)
        self._reference = math.log(float(spec.reference_price))
        self._volatility = spec.daily_volatility
        self._key = key
        self._counter = 0

    def step(self, seconds: int) -> int:
        self._counter += 1
        deviation = self._volatility * math.sqrt(seconds / _DAY)
        self._level += deviation * gaussian(self._key, self._counter)
        self._level += (self._reference - self._level) * seconds / PULL_S
        return round(math.exp(self._level) * self._scale)
