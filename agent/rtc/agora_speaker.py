"""The thread that hands speech to Agora's SDK.

The SDK's calls for speech only copy and drop bytes. But a call of a foreign library that does not
come back would take the thread that made it along, and that must not be Trio's: nothing could be
left, stopped or said any more. So they are made on a thread of their own, in order, and Trio waits
for one answer only, that to a clear, and no longer than `CLEAR_S`.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from attrs import define, field, frozen

from agent.audio import FRAME_BYTES

CLEAR_S: Final = 0.05
"""How long Trio's thread waits for the count of a clear, which takes some 0.1 ms: what is heard
meanwhile is little, and without the count the playout clock says what was heard."""
MOST_WAITING: Final = 200
"""Pieces of speech that wait for the SDK: two seconds at the least. More of them come only when it
takes none."""


@frozen
class _Piece:
    run: int
    pcm: bytes


@define
class _Clear:
    frames: int | None = None
    done: threading.Event = field(factory=threading.Event)


class Speaker:
    """Hands speech on.

    :param send: gives the SDK whole frames.
    :param empty: empties its buffer; how many frames were in it, where it says so.
    :param failed: is told, on the thread, what a call raised; then nothing more is handed on.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        empty: Callable[[], int | None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._send, self._empty, self._failed = send, empty, failed
        self._queue: SimpleQueue[_Piece | _Clear | None] = SimpleQueue()
        self._run = 0
        self._dropped = 0
        # A daemon: a native call that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="agora-speaker", daemon=True)
        self._thread.start()

    def push(self, pcm: bytes) -> bool:
        """Hand over whole frames; false: so many wait that the SDK cannot be taking any."""
        self._queue.put(_Piece(self._run, pcm))
        return self._queue.qsize() <= MOST_WAITING

    def clear(self) -> int | None:
        """Drop what was handed over and has not left the SDK's buffer; its frames, if known."""
        self._run += 1
        clear = _Clear()
        self._queue.put(clear)
        clear.done.wait(CLEAR_S)
        return clear.frames

    def close(self, within_s: float) -> bool:
        """End the thread; not to be called from Trio's. False: it is stuck."""
        self._queue.put(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                self._do(item)
        except Exception as error:  # noqa: BLE001 (foreign code may raise anything)
            self._failed(error)

    def _do(self, item: _Piece | _Clear) -> None:
        if isinstance(item, _Clear):
            frames = self._empty()
            item.frames = None if frames is None else frames + self._dropped
            self._dropped = 0
            item.done.set()
        elif item.run == self._run:
            self._send(item.pcm)
        else:
            self._dropped += len(item.pcm) // FRAME_BYTES
