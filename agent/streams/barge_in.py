"""Local barge-in: silence at the first sound of speech, before the server has said a word.

The server's own word comes a network later. Until it comes, or does not, playout stands still: a
false alarm costs a pause, and not a single sample.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from agent.alarm import Alarm
from agent.streams.downlink import Downlink

UNDECIDED_S: Final = 2.0
"""For so long at most it is waited whether speech is enough to interrupt. It may be for words; a
longer silence would seem to be the end of the call."""

_log = logging.getLogger(__name__)


class Detector(Protocol):
    """Finds speech; see `agent.streams.local_vad.LocalVad`."""

    def feed(self, pcm: bytes) -> bool:
        """Whether speech begins in the person's next audio."""


class LocalBargeIn:
    """Pauses playout when the person is heard.

    :param detector: finds speech.
    :param downlink: what is paused. When it is stopped, the pause has come to its end.
    :param window_s: seconds within which playout is to be stopped. Otherwise it goes on.
    :param may_pause: whether what is being heard may be interrupted.
    :ivar false_alarms: pauses after which nobody stopped playout.
    """

    def __init__(
        self,
        detector: Detector,
        downlink: Downlink,
        *,
        window_s: float,
        may_pause: Callable[[], bool],
    ) -> None:
        self.false_alarms = 0
        self._detector = detector
        self._downlink = downlink
        self._window_s = window_s
        self._may_pause = may_pause
        self._alarm = Alarm(self.go_on)

    def hear(self, pcm: bytes) -> None:
        """Listen to the person's next audio (pcm16, 24 kHz)."""
        if self._detector.feed(pcm) and self._may_pause() and self._downlink.pause():
            self._alarm.set(self._window_s)

    def wait(self, seconds: float) -> None:
        """The server has heard speech, too, and it is not decided yet whether it is enough."""
        self._alarm.set(self._window_s + min(seconds, UNDECIDED_S))

    def go_on(self) -> None:
        """It was no interruption: playout goes on."""
        if self._downlink.paused:
            self.false_alarms += 1
            _log.info("no interruption: going on")
            self._downlink.resume()

    async def run(self) -> None:
        """End pauses for as long as the call lasts."""
        await self._alarm.run()
