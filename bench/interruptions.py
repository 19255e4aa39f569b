"""Interruptions of real calls, in real time: all between the model's wire and the person's ear.

A server, an agent that it started, and the model are processes of their own; the far end is here.
There are two calls: in one the far end gives receipts of what was heard, in the other it does not.
"""

import sys
from bisect import bisect
from collections.abc import Iterable
from statistics import median
from typing import Any

import orjson
from attrs import frozen

from bench.far_end import Arrived, Cleared
from bench.measure import Figures, open_model
from bench.receiver import RATE
from bench.server import ServerFailed, open_server


@frozen
class Interruption:
    """What became of one.

    :ivar is_open: the answer was still generated.
    :ivar silent_ms: from the model's word that the person speaks to the answer's last frame.
    :ivar clear_ms: the same to the `clear`; None: there was none.
    :ivar late_frames: the answer's frames that came after the `clear`.
    :ivar heard_ms: how much of the answer had been put out by then.
    :ivar told_ms: what the model was told of that, by each truncate.
    :ivar deleted: how often it was told to delete the answer.
    """

    is_open: bool
    silent_ms: float
    clear_ms: float | None
    late_frames: int
    heard_ms: float
    told_ms: tuple[int, ...]
    deleted: int

    @property
    def corrections(self) -> int:
        """How often the model was told that the answer was not heard to its end."""
        return len(self.told_ms) + self.deleted

    @property
    def error_ms(self) -> float | None:
        """How wrong the model was told; None: it was not told, or did not have to be."""
        if self.clear_ms is None or not self.corrections:
            return None
        return abs((self.told_ms[-1] if self.told_ms else 0) - self.heard_ms)


async def measure_interruptions(times: int) -> Figures:
    """So many interruptions in each of two calls."""
    plain = await _call(times, receipts=False)
    receipts = await _call(times, receipts=True)
    return {
        **_figures(plain + receipts),
        **_spread("error", (one.error_ms for one in plain)),
        **_spread("error_receipts", (one.error_ms for one in receipts)),
    }


async def _call(times: int, *, receipts: bool) -> list[Interruption]:
    async with open_model() as (model, address):
        base = f"ws://{address}/v1/realtime?model=interruptions&times={times}"
        async with open_server(REALTIME_API_BASE_URI=base, OPENAI_API_KEY="bench") as server:
            async with server.call(receipts=receipts) as far_end:
                if "interrupted" not in orjson.loads(await model.hear()):
                    raise ServerFailed("the call ended early; see above")
            return _interruptions(orjson.loads(await model.hear()), far_end.events)


def _interruptions(record: dict[str, Any], events: list[Arrived | Cleared]) -> list[Interruption]:
    clears = [(at, event) for at, event in enumerate(events) if isinstance(event, Cleared)]
    cleared_at = [clear.at for _, clear in clears]
    frames: dict[int, list[tuple[int, float]]] = {}
    for place, event in enumerate(events):
        if isinstance(event, Arrived):
            frames.setdefault(event.number, []).append((place, event.at))
    ends = [at for _, at in record["began"][1:]] + [float("inf")]
    found = []
    for (number, began), end in zip(record["began"], ends, strict=True):
        # Its own is the first between it and the next.
        first = bisect(cleared_at, began)
        own = clears[first] if first < len(clears) and cleared_at[first] < end else None
        found.append(_interruption(number, began, own, frames.get(number, []), record))
    return found


def _interruption(
    number: int,
    began: float,
    clear: tuple[int, Cleared] | None,
    frames: list[tuple[int, float]],
    record: dict[str, Any],
) -> Interruption:
    place, event = clear or (sys.maxsize, None)
    last = max((at for _, at in frames), default=began)
    return Interruption(
        is_open=number in record["open"],
        silent_ms=max(0.0, (last - began) * 1000),
        clear_ms=(event.at - began) * 1000 if event else None,
        late_frames=sum(at > place for at, _ in frames),
        heard_ms=event.heard.get(number, 0) * 1000 / RATE if event else 0.0,
        told_ms=tuple(end_ms for of, end_ms in record["truncated"] if of == number),
        deleted=record["deleted"].count(number),
    )


def _figures(all_: list[Interruption]) -> Figures:
    return {
        "interruptions": float(len(all_)),
        "still_open": float(sum(one.is_open for one in all_)),
        **_spread("silent", (one.silent_ms for one in all_)),
        **_spread("clear", (one.clear_ms for one in all_)),
        "zombies": float(sum(one.late_frames for one in all_)),
        "no_clear": float(sum(one.clear_ms is None for one in all_)),
        "truncates": float(sum(len(one.told_ms) for one in all_)),
        "deletes": float(sum(one.deleted for one in all_)),
        "untold": float(sum(one.corrections == 0 for one in all_)),
        "told_twice": float(sum(one.corrections > 1 for one in all_)),
    }


def _spread(name: str, values: Iterable[float | None]) -> Figures:
    known = [value for value in values if value is not None]
    if not known:
        return {name: float("nan"), f"{name}_max": float("nan")}
    return {name: median(known), f"{name}_max": max(known)}
