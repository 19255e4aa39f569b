"""Messages that no model's server should send, made from valid ones and out of nothing.

Everything random comes from one `random.Random`, which a test seeds: what failed can be made again.
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
Message: TypeAlias = str | bytes

NAMES: Final = ("extra", "type", "role", "__class__", "__init__", "self", "event_id", "id", "item")
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**63,
    2**64,
    -(2**70),
    10**400,
    0.5,
    1e308,
    18446744073709551616.0,
    -0.0,
    float("nan"),
    float("inf"),
    "",
    "\0\x1b[31m\r\n",
    "\ud800",
    "\udfff\ud800",
    "\u202e",
    "@@@@",
    "QQ==",
    "x" * 5000,
    [],
    {},
    [[{}]],
    {"type": None},
    {"type": "message"},
    {"type": "message", "role": "user", "content": [{"type": 5}]},
    {"extra": {"extra": {}}},
)
_NOISE: Final = ('"', "{", "}", "[", "]", ",", ":", "\\", "\0", "\\ud800", "NaN", "1e999", "nul")


def hostile(valid: Sequence[Json], random: Random, number: int) -> Iterator[Message]:
    """So many messages: valid ones in any order, spoiled ones, and rubbish."""
    names = count()
    for _ in range(number):
        event = random.choice(valid)
        if random.random() < 0.25:
            event = renamed(event, names)
        # A copy, which is then spoiled in place.
        yield random.choice(_WAYS)(json.loads(json.dumps(event)), random)


def nested(event: Json, depth: int, opening: str = "[", closing: str = "]") -> str:
    """The event, which has fields, with an unknown one that is so deep."""
    return f'{json.dumps(event)[:-1]}, "deep": {opening * depth}{closing * depth}}}'


def renamed(value: Any, names: Iterator[int]) -> Any:
    """The same, with names in it that no event had before."""
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        name: f"new_{next(names)}"
        if name.endswith("id") and isinstance(inner, str)
        else renamed(inner, names)
        for name, inner in value.items()
    }


def answers(number: int) -> list[Json]:
    """The events of so many answers, each of which is interrupted."""
    return [event for at in range(number) for event in _answer(at)]


def _answer(number: int) -> list[Json]:
    response: Json = {"id": f"resp_{number}", "status": "in_progress"}
    item: Json = {"id": f"item_{number}", "type": "message", "role": "assistant", "content": []}
    place = {"response_id": response["id"], "output_index": 0}
    part = place | {"item_id": item["id"], "content_index": 0}
    audio = base64.b64encode(bytes(12_000)).decode()
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", **place, "item": item},
        {"type": "response.output_audio_transcript.delta", **part, "delta": "Good "},
        {"type": "response.output_audio.delta", **part, "delta": audio},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 1, "item_id": "user_1"},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2, "item_id": "user_1"},
        {"type": "input_audio_buffer.committed", "item_id": "user_1"},
        {"type": "response.output_audio.done", **part},
        {"type": "response.output_audio_transcript.done", **part, "transcript": "Good day."},
        {"type": "response.output_item.done", **place, "item": item},
        {"type": "response.done", "response": response | {"status": "cancelled"}},
    ]


def _unspoiled(event: Json, _: Random) -> Message:
    return json.dumps(event)


def _truncated(event: Json, random: Random) -> Message:
    text = json.dumps(event)
    return text[: random.randrange(len(text))]


def _flipped(event: Json, random: Random) -> Message:
    data = bytearray(json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(random.randint(1, 3)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def _noisy(event: Json, random: Random) -> Message:
    text = json.dumps(event)
    at = random.randrange(len(text))
    return text[:at] + random.choice(_NOISE) + text[at + random.randrange(2) :]


def _said_twice(event: Json, random: Random) -> Message:
    name = random.choice([*event, *NAMES])
    return f"{{{json.dumps(name)}: {json.dumps(random.choice(VALUES))}, {json.dumps(event)[1:]}"


def _deep(event: Json, random: Random) -> Message:
    pair = random.choice([("[", "]"), ('{"a":', "}"), ('[{"type":', "}]")])
    return nested(event, random.choice([100, 130, 250, 400, 2000]), *pair)


def _with_another_value(event: Json, random: Random) -> Message:
    place, name = _somewhere(event, random)
    place[name] = random.choice(VALUES)
    return json.dumps(event)


def _with_another_field(event: Json, random: Random) -> Message:
    place, _ = _somewhere(event, random)
    if isinstance(place, dict):
        place[random.choice(NAMES)] = random.choice(VALUES)
    else:
        place.append(random.choice(VALUES))
    return json.dumps(event)


def _without_a_field(event: Json, random: Random) -> Message:
    place, name = _somewhere(event, random)
    del place[name]
    return json.dumps(event)


def _rubbish(_: Json, random: Random) -> Message:
    value = json.dumps(random.choice(VALUES))
    rubbish: list[Message] = [random.randbytes(9), value, "", "{}", "\0"]
    return random.choice(rubbish)


def _somewhere(event: Json, random: Random) -> tuple[Any, Any]:
    """An object or a list in the event, and what names a thing in it."""
    place: Any = event
    while True:
        name = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not (isinstance(place[name], dict | list) and place[name]) or random.random() < 0.2:
            return place, name
        place = place[name]


_WAYS: Final[tuple[Callable[[Json, Random], Message], ...]] = (
    _unspoiled,
    _unspoiled,
    _unspoiled,
    _truncated,
    _flipped,
    _noisy,
    _said_twice,
    _deep,
    _with_another_value,
    _with_another_value,
    _with_another_field,
    _without_a_field,
    _rubbish,
)
