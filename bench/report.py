"""The table: ours beside bare, and what is aimed at."""

import math
import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from attrs import frozen

from bench.measure import Figures
from bench.playout import SETTINGS

OURS: Final = "ours"
BRIDGE: Final = ("calm", "busy", "stall_300", "stall_800")
"""What Trio's loop does meanwhile; see bridge.py."""
BARE: Final = "bare-20"
BARE_SHORT: Final = "bare-10"
OFFICIAL: Final = "official"


@frozen
class Row:
    """One line of the table: a figure's name, its words, the aim in words.

    :ivar most: the name of a second figure, which stands behind the first.
    """

    figure: str
    words: str
    aim: str = ""
    most: str = ""


_AIM: Final = "at most 3 times bare; less than the official"
ROWS: Final = (
    Row("cpu", "CPU, s a minute of call", "1.5 or less"),
    Row("uplink_p50", "uplink p50, ms", "under 12"),
    Row("uplink_p99", "uplink p99, ms", "under 25"),
    Row("uplink_lost", "frames that did not arrive", "0"),
    Row("first_frame", "delta to first frame, ms", "under 1.5"),
    Row("pss", "memory in a call, PSS MiB", "30 or less"),
    Row("rss", "memory in a call, RSS MiB"),
    Row("process_pss", "memory of a supervised agent in a call, PSS MiB", "30 or less"),
    Row("not_needed", "of quart, hypercorn, numpy: loaded", "0"),
    Row("to_update", "cold start to session.update, ms", "400 or less"),
    Row("to_running", "cold start to ready, ms"),
    Row("warm_to_update", "warm start to session.update, ms", "under 100"),
    Row("warm_to_running", "warm start to ready, ms", "under 100"),
    Row("warm_waiting", "memory of a warm process that waits, PSS MiB"),
    Row("server_pss", "memory of the server, PSS MiB"),
    Row("server_embedded_pss", "the same with the embedded model"),
    Row("barge_ins", "barge-ins with 10 late deltas"),
    Row("old_frames", "old 10 ms frames after one, at most", "0"),
    Row("end_error", "error of audio_end_ms, ms, at most", "10 or less"),
    Row("many_p99", "{agents} agents at a time: uplink p99, ms", "15 or less (16 on 2 cores)"),
    Row("many_lost", "{agents} agents: frames that did not arrive", "0"),
    Row("capacity", "calls at a time before a frame is 100 ms late"),
    Row("capacity_p99", "uplink p99 with so many, ms"),
    Row("interruptions", "interruptions of real calls"),
    Row("still_open", "of them, before response.done"),
    Row("silent", "speech_started to the last old frame, ms: median / most", "", "silent_max"),
    Row("clear", "speech_started to the clear, ms: median / most", "", "clear_max"),
    Row("zombies", "old 10 ms frames after the clear", "0"),
    Row("no_clear", "interruptions without a clear", "0"),
    Row("error", "error of audio_end_ms, ms: median / most", "10 or less", "error_max"),
    Row(
        "error_receipts",
        "the same where the far end gives receipts",
        "10 or less",
        "error_receipts_max",
    ),
    Row("truncates", "truncates"),
    Row("deletes", "deletes"),
    Row("untold", "interrupted answers with neither", "0"),
    Row("told_twice", "interrupted answers with more than one", "0"),
    Row("local_off_times", "local barge-in off: interruptions"),
    Row("local_off", "voice to the last frame, ms: median / most", "", "local_off_max"),
    Row("local_on_times", "local barge-in on: interruptions"),
    Row("local_on", "voice to the last frame, ms: median / most", "", "local_on_max"),
    *(
        Row(
            f"lead_cpu_{lead}_{step}",
            f"playout {lead} ms ahead in steps of {step}: CPU s a minute / gaps where busy",
            "",
            f"lead_gaps_{lead}_{step}",
        )
        for lead, step in SETTINGS
    ),
    *(
        row
        for name in BRIDGE
        for row in (
            Row(f"bridge_{name}_frames", f"bridge, {name}: frames of 10 ms that arrived"),
            Row(
                f"bridge_{name}_p50",
                f"bridge, {name}: hand-over, ms: p50 / p99",
                "",
                f"bridge_{name}_p99",
            ),
            Row(f"bridge_{name}_max", f"bridge, {name}: hand-over at most, ms"),
            Row(
                f"bridge_{name}_lost",
                f"bridge, {name}: lost / dropped by policy",
                "0 / 0" if "800" not in name else "0",
                f"bridge_{name}_dropped",
            ),
            Row(f"bridge_{name}_disorder", f"bridge, {name}: out of order", "0"),
        )
    ),
)

PROTOCOL_ROWS: Final = (
    Row("decode", "decode an audio delta of 100 ms, microseconds", _AIM),
    Row("encode", "encode an append of 20 ms, microseconds", _AIM),
)


class Results:
    """The figures of all runs, by subject."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[float]] = {}

    def add(self, subject: str, figures: Figures) -> None:
        """Note one run's figures."""
        for name, value in figures.items():
            self._runs.setdefault((subject, name), []).append(value)

    def median(self, subject: str, figure: str) -> float | None:
        """The median of the runs; None where the subject has no such figure."""
        runs = self._runs.get((subject, figure))
        return statistics.median(runs) if runs else None


def table(results: Results, agents: int) -> str:
    """The figures that were measured, a line each."""
    lines = [("", "ours", "bare", "ratio", "bare 10 ms", "aim")]
    for row in ROWS:
        ours, bare = results.median(OURS, row.figure), results.median(BARE, row.figure)
        if ours is None:
            continue
        short = results.median(BARE_SHORT, row.figure)
        ratio = _shown(ours / bare) if bare else ""
        words = row.words.format(agents=agents)
        shown = _shown(ours)
        if row.most:
            shown += f" / {_shown(results.median(OURS, row.most))}"
        lines.append((words, shown, _shown(bare), ratio, _shown(short), row.aim))
    return _aligned(lines) if len(lines) > 1 else ""


def protocol_table(results: Results) -> str:
    """What single events take, a line each."""
    lines = [("", "ours", "bare", "ratio", "official", "ratio", "aim")]
    for row in PROTOCOL_ROWS:
        ours, bare = results.median(OURS, row.figure), results.median(BARE, row.figure)
        official = results.median(OFFICIAL, row.figure)
        if ours and bare and official:
            ratios = _shown(ours / bare), _shown(ours / official)
            figures = _shown(ours), _shown(bare), ratios[0], _shown(official), ratios[1]
            lines.append((row.words, *figures, row.aim))
    return _aligned(lines) if len(lines) > 1 else ""


def machine() -> str:
    """What this ran on, in one line."""
    packages = ", ".join(
        f"{name} {version(name)}"
        for name in ("trio", "trio-websocket", "orjson", "cattrs", "openai")
    )
    load = os.getloadavg()[0]
    return (
        f"{_cores()} cores ({_cpu()}), {platform.system()} {platform.machine()}, load {load:.1f}; "
        f"{platform.python_implementation()} {platform.python_version()}, {packages}"
    )


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def _shown(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in (0, len(line) - 1) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
