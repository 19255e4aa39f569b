"""One measurement: the processes that it needs, and the figures that their time stamps make.

Figures are by name; see `report` for what each is.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import orjson
import trio

from agent.config import Settings
from agent.options import AgentOptions
from agent.supervisor.supervisor import Supervisor, open_supervisor
from bench.children import Child, open_child
from bench.memory import memory_of

Figures: TypeAlias = dict[str, float]

LATE_MS: Final = 100.0
"""A frame that is on its way for longer: a person notices a tenth of a second in an answer."""
MOST_AGENTS: Final = 64
IN_CALL_S: Final = 3.0
"""After so long a call has all that it will have in memory."""


async def measure_source(seconds: float) -> float:
    """CPU seconds a minute of the frame source alone."""
    async with open_child("bench.call", "source", "", str(seconds)) as child:
        await child.hear()
        await child.tell({})
        return float(orjson.loads(await child.hear())["cpu_s_per_min"])


async def measure_call(subject: str, seconds: float, source_cpu: float) -> Figures:
    """One call in which both directions are busy."""
    call, record = (await _calls(subject, "talk", seconds, 1))[0]
    latencies = _uplink_ms(call, record)
    return {
        "cpu": call["cpu_s_per_min"] - source_cpu,
        "uplink_p50": percentile(latencies, 0.5),
        "uplink_p99": percentile(latencies, 0.99),
        "uplink_lost": _lost(call, latencies),
        "first_frame": percentile(_first_frame_ms(call, record), 0.5),
        "rss": call["memory"].get("Rss", float("nan")),
        "pss": call["memory"].get("Pss", float("nan")),
        "not_needed": float(len(call["not_needed"])),
    }


async def measure_barge_in(subject: str, seconds: float) -> Figures:
    """One call in which every answer is interrupted."""
    call, record = (await _calls(subject, "barge-in", seconds, 1))[0]
    told = dict(record["truncated"])
    cut = [answer for answer in call["answers"] if answer["heard_ms"] is not None]
    # The call's end silences the last answer too; that one is told to nobody.
    cut = [answer for answer in cut if answer["number"] in told or answer is not cut[-1]]
    errors = [abs(told.get(answer["number"], 0) - answer["heard_ms"]) for answer in cut]
    return {
        "barge_ins": float(len(cut)),
        "old_frames": float(max(answer["frames_after"] for answer in cut)),
        "end_error": max(errors),
    }


async def measure_many(subject: str, seconds: float, calls: int) -> Figures:
    """Calls at the same time."""
    latencies: list[float] = []
    lost = 0.0
    for call, record in await _calls(subject, "talk", seconds, calls):
        own = _uplink_ms(call, record)
        latencies += own
        lost += _lost(call, own)
    return {"many_p99": percentile(latencies, 0.99), "many_lost": lost}


async def measure_capacity(seconds: float) -> Figures:
    """How many calls at a time this machine has before a frame is late, or lost."""
    figures: Figures = {"capacity": 0}
    for agents in range(8, MOST_AGENTS + 1, 8):
        latencies: list[float] = []
        lost = 0.0
        for call, record in await _calls("ours", "talk", seconds, agents):
            own = _uplink_ms(call, record)
            latencies += own
            lost += _lost(call, own)
        late = sum(latency > LATE_MS for latency in latencies)
        print(
            f"{agents} agents: uplink p99 {percentile(latencies, 0.99):.1f} ms, most "
            f"{max(latencies):.1f}, late {late} of {len(latencies)}, lost {lost:g}"
        )
        if late or lost:
            break
        figures = {"capacity": agents, "capacity_p99": percentile(latencies, 0.99)}
    return figures


async def measure_start(*, warm: bool = False) -> Figures:
    """An agent process, launched by the supervisor's own code, and its memory once in a call.

    :param warm: the process has been kept ready.
    """
    async with open_model() as (model, address):
        settings = Settings(
            rtc="local",
            local_channel_url=f"ws://{address}/channels",
            realtime_api_base_uri=f"ws://{address}/v1/realtime",
            log_level="warning",
            agents_warm=int(warm),
        )
        options = AgentOptions(channel_name="bench", model="talk")
        async with open_supervisor(settings) as supervisor:
            ready = await _until_warm(supervisor) if warm else 0
            began = time.monotonic()
            info = await supervisor.start(options)
            running = time.monotonic()
            await trio.sleep(IN_CALL_S)
            memory = memory_of(info.pid or 0)
        record = orjson.loads(await model.hear())
    figures = {
        "to_update": (record["updated_at"] - began) * 1000,
        "to_running": (running - began) * 1000,
        "process_pss": memory.get("Pss", float("nan")),
    }
    if warm:
        return {f"warm_{name}": value for name, value in figures.items()} | {"warm_waiting": ready}
    return figures


async def _until_warm(supervisor: Supervisor) -> float:
    """Wait for the process that is kept ready; its memory."""
    while not supervisor.pool.pids():  # noqa: ASYNC110 (a measurement, of what tells nobody)
        await trio.sleep(0.05)
    await trio.sleep(0.5)
    return memory_of(supervisor.pool.pids()[0]).get("Pss", float("nan"))


async def measure_bare_start() -> Figures:
    """A bare process that asks for a session."""
    async with open_model() as (model, address):
        began = time.monotonic()
        async with open_child("bench.bare", f"ws://{address}/v1/realtime?model=talk") as child:
            await child.hear()
            running = time.monotonic()
        record = orjson.loads(await model.hear())
    return {
        "to_update": (record["updated_at"] - began) * 1000,
        "to_running": (running - began) * 1000,
    }


async def _calls(
    subject: str, script: str, seconds: float, calls: int
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Calls at the same time: what each process told of its own, and what the model told of it."""
    told: dict[str, dict[str, Any]] = {}
    records: dict[str, dict[str, Any]] = {}
    ready = [trio.Event() for _ in range(calls)]
    async with open_model() as (model, address):

        async def hold(number: int) -> None:
            url = f"ws://{address}/v1/realtime?model={script}&call={number}"
            async with open_child("bench.call", subject, url, str(seconds)) as child:
                await child.hear()
                ready[number].set()
                for other in ready:
                    await other.wait()
                await child.tell({})
                told[str(number)] = orjson.loads(await child.hear())

        async with trio.open_nursery() as nursery:
            for number in range(calls):
                nursery.start_soon(hold, number)
            for _ in range(calls):
                record = orjson.loads(await model.hear())
                records[record["call"]] = record
    return [(told[name], records[name]) for name in told]


@asynccontextmanager
async def open_model() -> AsyncIterator[tuple[Child, str]]:
    """The model's process, with its host and port."""
    async with open_child("bench.model") as model:
        port = orjson.loads(await model.hear())["port"]
        yield model, f"127.0.0.1:{port}"


def _uplink_ms(call: dict[str, Any], record: dict[str, Any]) -> list[float]:
    handed = call["handed"]
    return [
        (arrived - handed[number]) * 1000
        for number, arrived in record["arrived"]
        if number < len(handed) and call["began"] <= handed[number] < call["ended"]
    ]


def _lost(call: dict[str, Any], latencies: list[float]) -> float:
    handed = sum(call["began"] <= at < call["ended"] for at in call["handed"])
    return float(handed - len(latencies))


def _first_frame_ms(call: dict[str, Any], record: dict[str, Any]) -> list[float]:
    sent = dict(record["sent"])
    return [
        (answer["first_at"] - sent[answer["number"]]) * 1000
        for answer in call["answers"]
        if call["began"] <= answer["first_at"] < call["ended"]
    ]


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)] if values else float("nan")
