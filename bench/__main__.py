"""`python -m bench`: measure the agent beside a bare loop and print a table.

Everything runs on 127.0.0.1. Figures of the two are of the same minute: their runs take turns.

`interruptions`, `local-barge-in`, `playout`, `bridge` and `capacity` are measured only where they
are named, and once, however many runs there are: what the first two count comes from many
interruptions, each of which takes a second or more of real time (seven minutes and three); the
third plays at six leads (four minutes), the fourth hears for a minute and a half, the last has more
and more calls at a time (two minutes). There is no bare loop beside them.
"""

import argparse
import sys
import time
from importlib.util import find_spec
from typing import Final

import trio
from attrs import frozen

from bench.measure import (
    Figures,
    measure_bare_start,
    measure_barge_in,
    measure_call,
    measure_capacity,
    measure_many,
    measure_source,
    measure_start,
)
from bench.protocol import measure_protocol
from bench.report import BARE, BARE_SHORT, OURS, Results, machine, protocol_table, table
from bench.server import measure_server

PARTS: Final = ("protocol", "start", "call", "barge-in", "many")
"""What is measured where nothing is named."""
LONG_PARTS: Final = ("interruptions", "local-barge-in", "playout", "bridge", "capacity")
"""What is measured once, and only where it is named."""
LIMIT_S: Final = 120.0
"""No part takes so long beyond its calls unless something hangs."""
LONG_LIMIT_S: Final = 600.0
"""The same for the long parts, beyond what the interruptions take."""


@frozen(kw_only=True)
class Wanted:
    """What to measure."""

    runs: int
    seconds: float
    agents: int
    interruptions: int
    parts: tuple[str, ...]

    @property
    def repeated(self) -> list[str]:
        """The parts that are measured in each run."""
        return [part for part in self.parts if part in PARTS]

    @property
    def long(self) -> list[str]:
        """Those that are measured once."""
        return [part for part in self.parts if part in LONG_PARTS]


def main() -> None:
    """Measure and print."""
    if find_spec("openai") is None:
        sys.exit("the bench needs what the tests need: run `make bench`")
    wanted = _wanted()
    print(machine())
    began = time.monotonic()
    results = trio.run(_measure, wanted)
    minutes = (time.monotonic() - began) / 60
    many = f"medians of {wanted.runs} runs, calls of {wanted.seconds:g} s, "
    print(f"{many if wanted.repeated else ''}{minutes:.1f} minutes")
    if calls := table(results, wanted.agents):
        if wanted.repeated:
            print("bare: the smallest loop of trio, trio-websocket and orjson, appends of 20 ms")
        print(f"\n{calls}")
    if events := protocol_table(results):
        print("\nbare: orjson and base64; official: openai's client, its audio left in base64\n")
        print(events)


async def _measure(wanted: Wanted) -> Results:
    results = Results()
    if "start" in wanted.parts:
        # Writes what Python caches of modules.
        _say("warming up")
        await measure_start()
        await measure_bare_start()
    for run in range(1, wanted.runs + 1):
        for part in wanted.repeated:
            _say(f"run {run} of {wanted.runs}: {part}")
            with trio.fail_after(LIMIT_S + 5 * wanted.seconds):
                await _measure_part(part, wanted, results)
    for part in wanted.long:
        _say(part)
        # Each of its two calls takes 1.1 s for one.
        with trio.fail_after(LONG_LIMIT_S + 5 * wanted.interruptions):
            results.add(OURS, await _measure_long_part(part, wanted))
    return results


async def _measure_part(part: str, wanted: Wanted, results: Results) -> None:
    seconds = wanted.seconds
    if part == "protocol":
        measure_protocol(results)
    elif part == "start":
        results.add(OURS, await measure_start())
        results.add(OURS, await measure_start(warm=True))
        results.add(BARE, await measure_bare_start())
        results.add(OURS, await measure_server())
    elif part == "call":
        source_cpu = await measure_source(seconds)
        for subject in (OURS, BARE, BARE_SHORT):
            results.add(subject, await measure_call(subject, seconds, source_cpu))
    elif part == "barge-in":
        for subject in (OURS, BARE):
            results.add(subject, await measure_barge_in(subject, seconds / 2))
    else:
        for subject in (OURS, BARE, BARE_SHORT):
            results.add(subject, await measure_many(subject, seconds / 2, wanted.agents))


async def _measure_long_part(part: str, wanted: Wanted) -> Figures:
    # Here, because they load what the other parts do not need.
    if part == "interruptions":
        from bench.interruptions import measure_interruptions

        return await measure_interruptions(wanted.interruptions)
    if part == "playout":
        from bench.playout import measure_playout

        return await measure_playout(2 * wanted.seconds)
    if part == "capacity":
        return await measure_capacity(wanted.seconds / 2)
    if part == "bridge":
        from bench.bridge import measure_bridge

        return await measure_bridge(wanted.seconds)
    from bench.local_barge_in import measure_local_barge_in

    return await measure_local_barge_in()


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of which medians are taken (3)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=10,
        help="of each call (10); half of it in `barge-in` and `many`",
    )
    parser.add_argument("--agents", type=int, default=16, help="in `many` at a time (16)")
    parser.add_argument(
        "--interruptions",
        type=int,
        default=200,
        help="in `interruptions`, of each of its two calls (200)",
    )
    parser.add_argument(
        "parts",
        nargs="*",
        help=f"what to measure: {', '.join(PARTS)} (all these); {', '.join(LONG_PARTS)}",
    )
    given = parser.parse_args()
    wanted = Wanted(**vars(given) | {"parts": tuple(given.parts or PARTS)})
    least = min(wanted.runs, wanted.seconds / 2, wanted.agents, wanted.interruptions)
    if not set(wanted.parts) <= {*PARTS, *LONG_PARTS} or least < 1:
        parser.error("parts as listed; at least 1 run, 2 seconds, 1 agent and 1 interruption")
    return wanted


if __name__ == "__main__":
    main()
