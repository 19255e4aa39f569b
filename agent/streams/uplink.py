"""Person to model: the channel's audio becomes append events."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from agent.audio import ms_to_bytes
from agent.protocol.client_events import InputAudioBufferAppendEvent

GAP_S: Final = 0.2
"""Without audio for so long the source is taken to have stopped; network jitter is shorter."""
FILL_STEP_MS: Final = 100


def _ignore(_: bytes) -> None:
    pass


async def run_uplink(
    receive: Callable[[], Awaitable[bytes]],
    send: Callable[[InputAudioBufferAppendEvent], Awaitable[None]],
    record: Callable[[bytes], None],
    *,
    fill_ms: int,
    hear: Callable[[bytes], None] = _ignore,
) -> None:
    """Send the person's audio to the model for as long as the call lasts.

    A microphone that is muted sends nothing at all, and a server's voice activity detection
    then waits for ever for the end of the turn: a gap is filled with silence, in real time.

    :param receive: waits for the person's audio, whole samples of pcm16.
    :param send: sends one event; while it waits the hand-over drops what grows too old.
    :param record: is given everything that is sent.
    :param fill_ms: how much silence fills a gap at most: enough to end any turn.
    :param hear: is given the same before it is sent.
    """
    silence = bytes(ms_to_bytes(FILL_STEP_MS))
    filled_ms = fill_ms  # nobody has spoken yet: there is no turn to end
    while True:
        pcm = b""
        wait_s = GAP_S if filled_ms == 0 else FILL_STEP_MS / 1000
        with trio.move_on_after(wait_s if filled_ms < fill_ms else float("inf")):
            pcm = await receive()
        if pcm:
            filled_ms = 0
        else:
            filled_ms += FILL_STEP_MS
            pcm = silence
        hear(pcm)
        await send(InputAudioBufferAppendEvent(audio=pcm))
        record(pcm)
