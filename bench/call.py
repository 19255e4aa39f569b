"""`python -m bench.call SUBJECT URL SECONDS`: the process that is measured in a call.

SUBJECT is `ours`, `bare-10`, `bare-20` (the bare loop with appends of so many ms), or `source`:
the source of frames alone, whose cost is taken off the others'. It tells when it is in its call,
starts the person when it is sent a line, and tells what it measured when the time is over. No
module is loaded that its subject does not need.
"""

import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import orjson
import trio

from bench.audio import FRAME_MS
from bench.memory import memory_of
from bench.sink import Sink
from bench.source import running_source

WARM_UP_S: Final = 1.5
NOT_NEEDED: Final = ("quart", "hypercorn", "numpy")
"""What an agent's process has no use for."""


def main() -> None:
    """Measure one call."""
    subject, url, seconds = sys.argv[1:]
    sink = Sink()
    print(
        orjson.dumps(trio.run(_measure, _open(subject, url, sink), sink, float(seconds))).decode()
    )


def _open(
    subject: str, url: str, sink: Sink
) -> AbstractAsyncContextManager[Callable[[bytes], None]]:
    if subject == "source":
        return _nothing()
    if subject == "ours":
        from bench.ours import open_our_call

        return open_our_call(url, sink)
    from bench.bare import open_bare_call

    return open_bare_call(url, sink, int(subject.removeprefix("bare-")) // FRAME_MS)


@asynccontextmanager
async def _nothing() -> AsyncIterator[Callable[[bytes], None]]:
    yield lambda _: None


async def _measure(
    call: AbstractAsyncContextManager[Callable[[bytes], None]], sink: Sink, seconds: float
) -> dict[str, Any]:
    async with call as give:
        print("{}", flush=True)
        await trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())).receive_some()
        with running_source(give) as source:
            await trio.sleep(WARM_UP_S)
            began, cpu = time.monotonic(), _cpu_s()
            await trio.sleep(seconds)
            ended, cpu = time.monotonic(), _cpu_s() - cpu
            memory = memory_of("self")
            # The last frames on their way.
            await trio.sleep(0.1)
    return {
        "began": began,
        "ended": ended,
        "cpu_s_per_min": cpu * 60 / (ended - began),
        "memory": memory,
        "not_needed": [name for name in NOT_NEEDED if name in sys.modules],
        "handed": source.handed,
        "answers": sink.report(),
    }


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
