"""What one event costs in time: ours, beside the least that has to be done and the official client.

The two that a call has most of: an audio delta of 100 ms that comes, and an append of 20 ms that
goes. The official client is unchanged, on a connection that goes nowhere; it leaves the audio in
base64, which is the larger part of the work.
"""

import base64
import gc
from collections.abc import Callable
from statistics import median
from timeit import repeat
from typing import Any, Final

import orjson

from agent.protocol import decode_server_event, encode
from agent.protocol.client_events import InputAudioBufferAppendEvent
from bench.report import BARE, OFFICIAL, OURS, Results

_TIMES: Final = 1000
_REPEATS: Final = 11
DELTA: Final = orjson.dumps(
    {
        "type": "response.output_audio.delta",
        "event_id": "event_CxTNWYDMdLHGaXnKxYyWB",
        "response_id": "resp_CxTNWlnRVmtjZ8ZsvXPr1",
        "item_id": "item_CxTNWzXqEQcsUDYcsx9wD",
        "output_index": 0,
        "content_index": 0,
        "delta": base64.b64encode(bytes(range(240)) * 20).decode(),
    }
).decode()
"""100 ms."""
PCM: Final = bytes(range(240)) * 4
"""20 ms."""


def measure_protocol(results: Results) -> None:
    """Note what each of them takes, in microseconds."""
    official = _official()
    takes: dict[tuple[str, str], Callable[[], object]] = {
        (OURS, "decode"): lambda: decode_server_event(DELTA),
        (BARE, "decode"): lambda: base64.b64decode(orjson.loads(DELTA)["delta"]),
        (OFFICIAL, "decode"): lambda: official.parse_event(DELTA),
        (OURS, "encode"): lambda: encode(InputAudioBufferAppendEvent(audio=PCM)),
        (BARE, "encode"): _bare_append,
        (OFFICIAL, "encode"): lambda: official.input_audio_buffer.append(audio=_text(PCM)),
    }
    for (subject, figure), work in takes.items():
        results.add(subject, {figure: _microseconds(work)})


def _microseconds(work: Callable[[], object]) -> float:
    gc.collect()
    return median(repeat(work, number=_TIMES, repeat=_REPEATS)) / _TIMES * 1e6


def _bare_append() -> str:
    return orjson.dumps({"type": "input_audio_buffer.append", "audio": _text(PCM)}).decode()


def _text(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


class _Nowhere:
    """Stands for the official client's socket."""

    def send(self, data: str | bytes) -> None:
        """Let it go."""


def _official() -> Any:
    # Here, because the other parts do not need it and it takes a second.
    from openai.resources.realtime.realtime import RealtimeConnection

    return RealtimeConnection(_Nowhere())  # type: ignore[arg-type]  # of a socket, only send is used
