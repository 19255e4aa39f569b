"""SIGINT and SIGTERM: held back while the program starts, then taken as a wish to stop."""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import trio

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def hold_signals() -> None:
    """Let signals wait until `stop_on_signals` takes them.

    Called before the slow imports: Ctrl-C in their midst must neither print a traceback nor be
    lost.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    for number in _SIGNALS:
        # A script's shell starts its background jobs with SIGINT ignored, and a signal that is
        # ignored does not wait.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


async def stop_on_signals(
    stop: Callable[[str], None], exit_at: int = 2, *, task_status: "trio.TaskStatus[None]"
) -> None:
    """Call `stop` with a reason at each signal.

    :param exit_at: the SIGINT, counted from 1, at which the process exits at once.
    """
    import trio  # here, because `hold_signals` must be had without what is slow to import

    with trio.open_signal_receiver(*_SIGNALS) as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        task_status.started()
        interrupts = 0
        async for number in signals:
            interrupts += number == signal.SIGINT
            if interrupts >= exit_at:
                os._exit(128 + signal.SIGINT)
            stop(f"stopped by {signal.Signals(number).name}")


def signal_name(number: int) -> str:
    """As people know it; real-time signals have a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
