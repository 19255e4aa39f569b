"""How long the agent talks on when a person's voice is heard over it, and its model is far away.

The model is the server's own, which listens for speech as the service does; what it says comes a
tenth of a second late, as over a network. With its option `local_barge_in` the agent need not wait
for the model's word. All of it is real but the person, who is espeak-ng.
"""

import shutil
import time
from array import array
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Any, Final

import orjson
import trio
from attrs import fields_dict

from agent.embedded.answers.voice import EspeakVoice
from agent.options import AgentOptions
from bench.far_end import Arrived, FarEnd
from bench.measure import Figures
from bench.server import open_server

DELAY_S: Final = 0.1
TIMES: Final = 20
EARLIEST_S: Final = 0.2
"""After the answer's first frame; its shortest answers last for almost two seconds."""
LATEST_S: Final = 0.8
STEP_S: Final = 0.1
"""An answer of which nothing came for so long is over."""
ANSWER_S: Final = 20.0
"""An answer begins within a second."""
OPTION: Final = "local_barge_in"
_WORDS: Final = "Hold on I would like to ask you about something else"
"""Without a pause, which would end the turn, and longer than the agent can talk on."""
_AUDIBLE: Final = 300
_GOLDEN: Final = 0.618
_PLAN: Final = {"faults": [{"when": {"seconds": 0}, "do": {"effect": "delay", "seconds": DELAY_S}}]}


class NothingToMeasure(Exception):
    """Something is missing, or no answer was long enough to be spoken over."""


async def measure_local_barge_in() -> Figures:
    """Interruptions of a call without the option, and with it where the agent has it."""
    if not shutil.which("espeak-ng"):
        # An artificial vowel, loud as it was, the model did not take for speech.
        raise NothingToMeasure("local-barge-in needs a voice: apt-get install espeak-ng")
    words = _audible(await EspeakVoice().speak(_WORDS, b"", 1.0))
    if OPTION not in fields_dict(AgentOptions):
        return await _call(words, "local_off", {})
    off = await _call(words, "local_off", {OPTION: False})
    return off | await _call(words, "local_on", {OPTION: True})


async def _call(words: bytes, name: str, options: dict[str, Any]) -> Figures:
    with NamedTemporaryFile() as plan:
        plan.write(orjson.dumps(_PLAN))
        plan.flush()
        async with (
            open_server(EMBEDDED_FAULTS=plan.name) as server,
            server.call(receipts=True, **options) as far_end,
        ):
            talked_on = await _interrupt(far_end, words)
    if not talked_on:
        raise NothingToMeasure("every answer was over before it was spoken over")
    return {
        name: median(talked_on),
        f"{name}_max": max(talked_on),
        f"{name}_times": float(len(talked_on)),
    }


async def _interrupt(far_end: FarEnd, words: bytes) -> list[float]:
    """Speak over one answer after another; how many ms of each came all the same."""
    talked_on = []
    await far_end.say(words)
    for number in range(TIMES):
        with trio.fail_after(ANSWER_S):
            await far_end.answer()
        await trio.sleep(EARLIEST_S + (LATEST_S - EARLIEST_S) * (number * _GOLDEN % 1))
        began = await far_end.say(words)
        # The next answer has not begun: the model has yet to hear that the person is silent.
        ended = time.monotonic()
        frames = [event.at for event in far_end.events if isinstance(event, Arrived)]
        last = max(at for at in frames if at < ended)
        if last > began - STEP_S:
            talked_on.append(max(0.0, (last - began) * 1000))
    return talked_on


def _audible(pcm: bytes) -> bytes:
    """Without the silence before and after."""
    samples = array("h", pcm)
    loud = [at for at, sample in enumerate(samples) if abs(sample) > _AUDIBLE]
    return samples[loud[0] : loud[-1] + 1].tobytes()
