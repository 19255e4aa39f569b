"""An agent that knows the weather. With `make run` in another terminal:

    .venv/bin/python -m agent --channel-name demo --tools examples.weather:get_weather

Then open http://127.0.0.1:8080/#demo, press Start and type: What is the weather in Paris? All
agents that a server starts have it after: make run ARGS="--tools examples.weather:get_weather"
"""

import enum
from typing import Annotated

import trio

from agent.tools import RunContext, tool

DEGREES = {"paris": 18, "london": 14, "cairo": 31}


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


@tool(timeout_s=5)
async def get_weather(
    call: RunContext,
    city: Annotated[str, "its English name"],
    unit: Unit = Unit.CELSIUS,
) -> dict[str, object]:
    """How warm it is in a city now."""
    call.log.info("somebody asks for %s", city)
    await trio.sleep(0.2)  # a real one would ask a service here
    if city.lower() not in DEGREES:
        raise LookupError(f"nothing is known of {city}")
    degrees: float = DEGREES[city.lower()]
    if unit is Unit.FAHRENHEIT:
        degrees = degrees * 9 / 5 + 32
    return {"city": city, "degrees": degrees, "unit": unit.value}
