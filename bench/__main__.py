"""`python -m bench`: measure the agent beside a bare loop and print a table.

Everything runs on 127.0.0.1. Figures of the two are of the same minute: their runs take turns.
"""

import argparse
import sys
import time
from importlib.util import find_spec
from typing import Final

import trio
from attrs import frozen

from bench.measure import (
    measure_bare_start,
    measure_barge_in,
    measure_call,
    measure_many,
    measure_source,
    measure_start,
)
from bench.protocol import measure_protocol
from bench.report import BARE, BARE_SHORT, OURS, Results, machine, protocol_table, table

PARTS: Final = ("protocol", "start", "call", "barge-in", "many")
LIMIT_S: Final = 120.0
"""No part takes so long beyond its calls unless something hangs."""


@frozen(kw_only=True)
class Wanted:
    """What to measure."""

    runs: int
    seconds: float
    agents: int
    parts: tuple[str, ...]


def main() -> None:
    """Measure and print."""
    if find_spec("openai") is None:
        sys.exit("the bench needs what the tests need: run `make bench`")
    wanted = _wanted()
    print(machine())
    began = time.monotonic()
    results = trio.run(_measure, wanted)
    minutes = (time.monotonic() - began) / 60
    print(f"medians of {wanted.runs} runs, calls of {wanted.seconds:g} s, {minutes:.1f} minutes")
    if calls := table(results, wanted.agents):
        print("bare: the smallest loop of trio, trio-websocket and orjson, with appends of 20 ms\n")
        print(calls)
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
        for part in wanted.parts:
            _say(f"run {run} of {wanted.runs}: {part}")
            with trio.fail_after(LIMIT_S + 5 * wanted.seconds):
                await _measure_part(part, wanted, results)
    return results


async def _measure_part(part: str, wanted: Wanted, results: Results) -> None:
    seconds = wanted.seconds
    if part == "protocol":
        measure_protocol(results)
    elif part == "start":
        results.add(OURS, await measure_start())
        results.add(BARE, await measure_bare_start())
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
    parser.add_argument("parts", nargs="*", help=f"what to measure: {', '.join(PARTS)} (all)")
    given = parser.parse_args()
    parts = tuple(given.parts or PARTS)
    if not set(parts) <= set(PARTS) or given.runs < 1 or given.seconds < 2 or given.agents < 1:
        parser.error("parts as listed; at least 1 run, 2 seconds and 1 agent")
    return Wanted(runs=given.runs, seconds=given.seconds, agents=given.agents, parts=parts)


if __name__ == "__main__":
    main()
