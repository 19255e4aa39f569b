"""G.711 on the model's line is pcm16 in the agent: all of it, in order, and never more of it."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError, ModelFormatUnknown
from agent.g711 import G711_RATE, G711Decoder, G711Encoder, G711Law
from agent.protocol import UnknownEvent
from agent.protocol.client_events import InputAudioBufferAppendEvent
from agent.protocol.response import RealtimeResponse
from agent.protocol.server_events import (
    ResponseAudioDeltaEvent,
    ResponseAudioDoneEvent,
    ResponseAudioTranscriptDeltaEvent,
    ResponseDoneEvent,
)
from agent.protocol.session import AudioFormat
from agent.streams.model_audio import MAX_PARTS, ModelAudio, ServerEvent
from tests.speech import noise

LAWS: tuple[G711Law, ...] = ("audio/pcmu", "audio/pcma")
PCM = AudioFormat(type="audio/pcm", rate=24_000)
SECOND = bytes(np.random.default_rng(3).integers(0, 256, G711_RATE, np.uint8))
DELTA_BYTES = 2_000
"""A quarter of a second, as the real server sends it."""

each_law = pytest.mark.parametrize("law", LAWS)


def g711_both_ways(law: G711Law = "audio/pcmu") -> ModelAudio:
    return ModelAudio(AudioFormat(type=law), AudioFormat(type=law))


def delta(
    data: bytes, response: str = "resp_1", item: str = "item_1", content: int = 0
) -> ServerEvent:
    return ResponseAudioDeltaEvent(
        response_id=response,
        item_id=item,
        output_index=0,
        content_index=content,
        delta=data,
        event_id="event_1",
        extra={"new": True},
    )


def audio_done(response: str = "resp_1", item: str = "item_1", content: int = 0) -> ServerEvent:
    return ResponseAudioDoneEvent(
        response_id=response, item_id=item, output_index=0, content_index=content
    )


def response_done(response: str) -> ServerEvent:
    return ResponseDoneEvent(response=RealtimeResponse(id=response, status="completed"))


def heard(events: Iterable[ServerEvent]) -> bytes:
    return b"".join(e.delta for e in events if isinstance(e, ResponseAudioDeltaEvent))


def decoded(data: bytes, law: G711Law = "audio/pcmu") -> bytes:
    decoder = G711Decoder(law)
    return decoder.feed(data) + decoder.flush()


# -- pcm ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "audio", [PCM, AudioFormat(type="audio/pcm"), AudioFormat(), AudioFormat(type=None, rate=None)]
)
def test_pcm_passes_as_it_is(audio: AudioFormat) -> None:
    model_audio = ModelAudio(audio, audio)
    append = InputAudioBufferAppendEvent(audio=b"12345")
    assert model_audio.to_model(append) is append
    for event in (delta(b"12345"), audio_done(), response_done("resp_1")):
        [passed] = model_audio.from_model(event)
        assert passed is event


def test_pcm_imports_nothing_and_g711_is_imported_before_the_call_begins() -> None:
    program = """
import sys
from agent.protocol.session import AudioFormat
from agent.streams.model_audio import ModelAudio
heavy = {"numpy", "soxr", "audioop"}
pcm = AudioFormat(type="audio/pcm", rate=24000)
ModelAudio(input=pcm, output=pcm)
assert not heavy & set(sys.modules)
ModelAudio(input=pcm, output=AudioFormat(type="audio/pcma"))
assert heavy <= set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)


# -- the person's audio ---------------------------------------------------------------------------


@each_law
def test_the_persons_audio_is_made_g711(law: G711Law) -> None:
    model_audio = ModelAudio(AudioFormat(type=law, rate=8_000), PCM)
    pcm = noise(1)
    events = [
        InputAudioBufferAppendEvent(audio=pcm[at : at + 960], event_id="event_1", extra={"a": 1})
        for at in range(0, len(pcm), 960)
    ]
    sent = [model_audio.to_model(event) for event in events]
    assert {event.event_id for event in sent} == {"event_1"}
    assert all(event.extra == {"a": 1} for event in sent)
    assert b"".join(event.audio for event in sent) == G711Encoder(law).feed(pcm)
    unchanged = delta(b"12345")
    assert model_audio.from_model(unchanged) == [unchanged]


# -- the model's audio ----------------------------------------------------------------------------


@each_law
def test_a_delta_becomes_pcm_and_the_rest_comes_before_the_end(law: G711Law) -> None:
    model_audio = ModelAudio(PCM, AudioFormat(type=law))
    events = [
        event
        for at in range(0, len(SECOND), DELTA_BYTES)
        for event in model_audio.from_model(delta(SECOND[at : at + DELTA_BYTES]))
    ]
    assert all(
        isinstance(event, ResponseAudioDeltaEvent)
        and (event.event_id, event.extra) == ("event_1", {"new": True})
        for event in events
    )
    tail, done = model_audio.from_model(audio_done())
    assert done == audio_done()
    assert heard([*events, tail]) == decoded(SECOND, law)
    # That delta is of our own making: it has no event of the server's to be named after.
    assert isinstance(tail, ResponseAudioDeltaEvent)
    assert not tail.event_id
    assert (tail.response_id, tail.item_id, tail.content_index) == ("resp_1", "item_1", 0)
    append = InputAudioBufferAppendEvent(audio=b"12345")
    assert model_audio.to_model(append) is append


@given(
    st.sampled_from(LAWS),
    st.lists(st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 5), st.integers(0, 700)))),
)
def test_at_no_step_is_there_more_of_a_part_than_the_server_sent(
    law: G711Law, steps: list[tuple[int, int]]
) -> None:
    """Each step is a delta of some bytes for one of three parts."""
    model_audio = g711_both_ways(law)
    sent, made = [b"", b"", b""], [b"", b"", b""]
    for part, size in steps:
        data = SECOND[len(sent[part]) :][:size]
        sent[part] += data
        made[part] += heard(model_audio.from_model(delta(data, content=part)))
        assert len(made[part]) // 2 <= 3 * len(sent[part])
    for part in range(3):
        made[part] += heard(model_audio.from_model(audio_done(content=part)))
        assert len(made[part]) // 2 == 3 * len(sent[part])
        assert made[part] == decoded(sent[part], law)


def test_parts_that_come_interleaved_are_kept_apart() -> None:
    model_audio = g711_both_ways()
    parts = [
        ("resp_1", "item_1", 0),
        ("resp_1", "item_1", 1),
        ("resp_1", "item_2", 0),
        ("r", "i", 0),
    ]
    made = dict.fromkeys(parts, b"")
    for at in range(0, len(SECOND), 100):
        for number, part in enumerate(parts):
            piece = bytes(byte ^ number for byte in SECOND[at : at + 100])
            made[part] += heard(model_audio.from_model(delta(piece, *part)))
    for number, part in enumerate(parts):
        made[part] += heard(model_audio.from_model(audio_done(*part)))
        assert made[part] == decoded(bytes(byte ^ number for byte in SECOND))


def test_a_part_without_audio_ends_without_any() -> None:
    model_audio = g711_both_ways()
    assert model_audio.from_model(audio_done()) == [audio_done()]
    assert model_audio.from_model(delta(b"")) == []
    assert model_audio.from_model(audio_done()) == [audio_done()]


def test_the_end_of_a_response_ends_its_parts_and_no_others() -> None:
    model_audio = g711_both_ways()
    for response in ("resp_1", "resp_2"):
        model_audio.from_model(delta(SECOND[:100], response))
    tail, done = model_audio.from_model(response_done("resp_1"))
    assert done == response_done("resp_1")
    assert len(heard([tail])) == 600
    assert model_audio.from_model(audio_done("resp_1")) == [audio_done("resp_1")]
    assert len(heard(model_audio.from_model(audio_done("resp_2")))) == 600


def test_a_server_that_ends_nothing_costs_no_more_than_so_many_parts() -> None:
    model_audio = g711_both_ways()
    for number in range(MAX_PARTS + 1):
        model_audio.from_model(delta(SECOND[:100], item=f"item_{number}"))
    # Only the oldest has been given up.
    tails = [
        len(heard(model_audio.from_model(audio_done(item=f"item_{number}"))))
        for number in range(MAX_PARTS + 1)
    ]
    assert tails == [0] + [600] * MAX_PARTS


def test_parts_that_have_ended_take_no_room_from_one_that_has_not() -> None:
    model_audio = g711_both_ways()
    model_audio.from_model(delta(SECOND[:100]))
    for number in range(MAX_PARTS):
        other = f"item of before {number}"
        model_audio.from_model(delta(SECOND[:100], item=other))
        model_audio.from_model(audio_done(item=other))
    assert len(heard(model_audio.from_model(audio_done()))) == 600


def test_all_else_passes_as_it_is() -> None:
    model_audio = g711_both_ways()
    words = ResponseAudioTranscriptDeltaEvent(
        response_id="resp_1", item_id="item_1", output_index=0, content_index=0, delta="Hello"
    )
    for event in (words, UnknownEvent(type="new", data={"type": "new"}), response_done("other")):
        [passed] = model_audio.from_model(event)
        assert passed is event


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audio", "named"),
    [
        (AudioFormat(type="audio/opus"), "'audio/opus'"),
        (AudioFormat(type="audio/pcm", rate=16_000), "'audio/pcm' at 16000 Hz"),
        (AudioFormat(type="audio/pcm", rate=0), "'audio/pcm' at 0 Hz"),
        (AudioFormat(type="audio/pcmu", rate=16_000), "'audio/pcmu' at 16000 Hz"),
        (AudioFormat(type=""), "''"),
    ],
)
def test_an_unknown_format_is_named(audio: AudioFormat, named: str) -> None:
    with pytest.raises(ModelFormatUnknown, match=f"input .*: {named}$"):
        ModelAudio(audio, PCM)
    with pytest.raises(ModelFormatUnknown, match=f"output .*: {named}$"):
        ModelAudio(PCM, audio)


def test_without_the_extra_it_is_told_before_the_call_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    for formats in [(PCM, AudioFormat(type="audio/pcmu")), (AudioFormat(type="audio/pcmu"), PCM)]:
        with pytest.raises(ConfigError, match="g711"):
            ModelAudio(*formats)
