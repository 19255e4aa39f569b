"""The end of a process, which may not wait for anybody."""

import logging
import os
import sys
import threading
from typing import Final, NoReturn

FOREIGN: Final = ("agora", "agora-speaker")
"""Threads that call a foreign library; one that is there at the end is stuck in it."""


def end(status: int) -> NoReturn:
    """Exit with this status.

    Where a foreign library is stuck, its own threads would run on while Python takes itself apart,
    and could crash it: then the process ends at once.
    """
    if any(thread.name in FOREIGN for thread in threading.enumerate()):
        logging.shutdown()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
