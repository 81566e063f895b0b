"""The weather graph's tools: a few stations with a mind of their own, the same in every process."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import restate

from agentflow import ToolError
from tools import ledger

Sky = Literal["clear", "cloudy", "rain", "storm"]

STATIONS: dict[str, tuple[float, Sky]] = {
    "Lisbon": (21, "clear"),
    "Oslo": (4, "cloudy"),
    "Quito": (15, "rain"),
    "Cairo": (33, "clear"),
    "Pompeii": (24, "storm"),
    "Atlantis": (18, "rain"),
    "Delhi": (36, "cloudy"),
    "Perth": (27, "clear"),
}
DOWN = ("Atlantis",)  # its network is broken: take the name out, and restart the service, to mend it
CLOSED = ("Eden",)  # not open to the public, and never will be
SECONDS = {"Oslo": 1.0, "Quito": 5.0}  # how long a station takes to answer
TRIES = {"Cairo": 3, "Pompeii": 1_000_000}  # at which try the forecast of a city comes

_tries: Counter[str] = Counter()


@dataclass
class Weather:
    city: str
    celsius: float
    sky: Sky


@dataclass
class Forecast:
    city: str
    days: list[Weather]


@dataclass
class Air:
    city: str
    index: int
    advice: str


async def weather_in(city: str) -> Weather:
    """Tells the weather in a city, as it is now.

    Args:
        city: The city's English name.
    """
    celsius, sky = await _ask("weather_in", city)
    return Weather(city, celsius, sky)


async def forecast_for(city: str, idempotency_key: str, days: int = 2) -> Forecast:
    """Tells the weather in a city for the next days.

    Args:
        city: The city's English name.
        days: How many days, from 1 to 5.
    """
    if not 1 <= days <= 5:
        raise ToolError(f"a forecast is for 1 to 5 days, not {days}")
    celsius, sky = await _ask("forecast_for", city)
    _tries[idempotency_key] += 1
    if _tries[idempotency_key] < TRIES.get(city, 1):
        raise ConnectionError(f"the forecast of {city} was cut off")
    return Forecast(city, [Weather(city, celsius + day, sky) for day in range(1, days + 1)])


async def air_in(city: str) -> Air:
    """Tells how clean the air in a city is: 0 is clean, 500 is not.

    Args:
        city: The city's English name.
    """
    celsius, _ = await _ask("air_in", city)
    index = int(celsius * 5)
    return Air(city, index, "stay inside" if index > 150 else "go out")


async def _ask(tool: str, city: str) -> tuple[float, Sky]:
    """What a station says. A ToolError is for the model, a TerminalError ends the run, the rest is tried again."""
    ledger.note(tool, "", city=city)
    await asyncio.sleep(SECONDS.get(city, 0))
    if city in CLOSED:
        raise restate.TerminalError(f"the station in {city} is not open to the public", status_code=403)
    if city not in STATIONS:
        raise ToolError(f"there is no station in {city}; the nearest is in Lisbon")
    if city in DOWN:
        raise ConnectionError(f"the station in {city} does not answer")
    return STATIONS[city]
