"""The agent's own ear: speech begins soon after its first sample, and noise begins none."""

import functools
import itertools
import statistics
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import soxr
import webrtcvad
from hypothesis import given
from hypothesis import strategies as st

from agent.audio import FRAME_BYTES, SAMPLE_BYTES, SAMPLE_RATE
from agent.errors import ConfigError
from agent.streams.local_vad import END_MS, LocalVad
from tests.speech import noise, silence, speech, tone

PIECE = 2 * FRAME_BYTES
"""20 ms."""
VOICES = ("en", "en-us+f3", "en+m7", "de")
SENTENCES = ("Stop.", "Wait.", "Yes, please.", "She sells sea shells.", "Five of them, thanks.")

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]


def pieces(pcm: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The audio in pieces of these sizes in bytes, and what is left."""
    at = 0
    for size in sizes:
        yield pcm[at : at + size]
        at += size
    yield pcm[at:]


def begins(pcm: bytes, vad: LocalVad | None = None) -> list[int]:
    """Where the audio had come to, in ms, when speech was heard to begin; fed in 20 ms."""
    vad = LocalVad() if vad is None else vad
    fed = pieces(pcm, [PIECE] * (len(pcm) // PIECE))
    return [20 * (number + 1) for number, piece in enumerate(fed) if vad.feed(piece)]


def samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def pcm16(audio: Samples) -> bytes:
    return bytes(np.clip(np.rint(audio), -32_768, 32_767).astype("<i2"))


def mixed(*tracks: bytes) -> bytes:
    """Tracks of equal length, one over the other."""
    return pcm16(sum((samples(track) for track in tracks), np.zeros(len(tracks[0]) // 2)))


def quieter(pcm: bytes) -> bytes:
    """By 20 dB: as from the other end of a room."""
    return pcm16(samples(pcm) / 10)


def in_silence(pcm: bytes, *, lead_ms: int = 1_000) -> bytes:
    return silence(lead_ms / 1000) + pcm + silence(0.6)


@functools.cache
def spoken() -> list[tuple[int, bytes]]:
    """Speech of several voices and sentences, loud and quiet, and after how many ms it begins.

    Those lie anywhere in a block of 20 ms.
    """
    said = [speech(text, voice=voice) for voice in VOICES for text in SENTENCES]
    return [
        (lead_ms, in_silence(pcm, lead_ms=lead_ms))
        for lead_ms, pcm in enumerate([*said, *map(quieter, said)], 1_000)
    ]


def judging(verdicts: Iterable[bool], monkeypatch: pytest.MonkeyPatch) -> LocalVad:
    """One whose detector has these verdicts on the blocks of 20 ms, in order."""
    verdicts = iter(verdicts)
    fake = SimpleNamespace(is_speech=lambda block, rate: next(verdicts))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "webrtcvad", SimpleNamespace(Vad=lambda mode: fake))
        return LocalVad()


# -- speech ---------------------------------------------------------------------------------------


def test_speech_is_heard_some_60_ms_after_it_begins() -> None:
    delays = [begins(pcm)[0] - lead_ms for lead_ms, pcm in spoken()]
    assert min(delays) >= 40  # and not before there was enough of it
    assert statistics.median(delays) <= 65
    assert statistics.quantiles(delays, n=10)[-1] <= 170
    assert max(delays) <= 260


def test_what_is_not_resampled_is_heard_as_soon_as_what_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against the same rules over the detector's verdict on the same 20 ms at a true 8 kHz."""

    def verdicts(pcm: bytes) -> Iterator[bool]:
        narrow = pcm16(soxr.resample(samples(pcm), SAMPLE_RATE, 8_000, quality="HQ"))
        detector = webrtcvad.Vad(3)
        blocks = pieces(narrow, [320] * (len(narrow) // 320))
        return (detector.is_speech(block, 8_000) for block in blocks if block)

    heard = [begins(pcm)[0] for _, pcm in spoken()]
    resampled = [begins(pcm, judging(verdicts(pcm), monkeypatch))[0] for _, pcm in spoken()]
    later = [ours - theirs for ours, theirs in zip(heard, resampled, strict=True)]
    assert statistics.mean(later) <= 0
    assert max(later) <= 100


def test_speech_is_over_after_silence_and_may_begin_again() -> None:
    vad = LocalVad()
    hello = speech("Hello.")
    # A pause that is too short, with the 60 ms for which the detector's verdict lingers.
    assert len(begins(silence(1) + hello + silence(END_MS / 1000 - 0.1) + hello, vad)) == 1
    after = [(vad.feed(silence(0.02)), vad.speaking) for _ in range(25)]
    assert END_MS <= 20 * after.index((False, False)) <= END_MS + 60
    assert len(begins(hello, vad)) == 1
    assert vad.speaking


def test_speech_with_the_first_sample_of_a_call_is_heard() -> None:
    assert begins(speech("Hello."))[0] <= 120


def test_speech_in_a_quiet_rooms_noise_is_heard_and_the_noise_is_not() -> None:
    for lead_ms, pcm in spoken():
        room = noise(len(pcm) / SAMPLE_BYTES / SAMPLE_RATE, amplitude=15)
        assert 40 <= begins(mixed(pcm, room))[0] - lead_ms <= 260


def test_a_click_just_before_it_hides_speech_for_a_moment_only() -> None:
    click = silence(1) + noise(0.005, amplitude=8_000)
    heard = begins(click + silence(0.02) + quieter(speech("Hello, can you hear me?")))
    assert len(heard) == 1
    assert 1_065 <= heard[0] <= 1_200


def test_two_beginnings_in_one_piece_are_one_piece_that_begins() -> None:
    vad = LocalVad()
    assert vad.feed(in_silence(speech("Hello.")) * 2) is True
    assert not vad.speaking


@pytest.mark.parametrize(
    ("verdicts", "speaking"),
    [
        (".++", "..."),
        (".+++", "...+"),
        (".++.++.++", "........."),
        (".++.+++", "......+"),
        ("+++" + 14 * ".", "..+" + 14 * "+"),
        ("+++" + 15 * ".", "..+" + 14 * "+" + "."),
        ("+++" + 14 * "." + "+" + 14 * ".", "..+" + 29 * "+"),
        ("+++" + 15 * "." + "+++.", "..+" + 14 * "+" + "...++"),
    ],
)
def test_verdicts_become_speech(
    verdicts: str, speaking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One character for each 20 ms of a sound that holds up."""
    vad = judging([verdict == "+" for verdict in verdicts], monkeypatch)
    sound = tone(0.02 * len(verdicts))
    before = False
    for piece, expected in zip(pieces(sound, [PIECE] * (len(verdicts) - 1)), speaking, strict=True):
        began = vad.feed(piece)
        assert vad.speaking == (expected == "+")
        assert began == (vad.speaking and not before)
        before = vad.speaking


def test_a_loud_sound_is_forgotten_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    loud, quiet = tone(0.02, amplitude=30_000), tone(0.06, amplitude=100)
    vad = judging([True, False, True, True, True], monkeypatch)
    assert begins(loud + silence(0.02) + quiet, vad) == [100]
    vad = judging([True, True, True, True, True], monkeypatch)
    assert begins(loud + silence(0.02) + quiet, vad) == []


# -- what is no speech ----------------------------------------------------------------------------


def burst(ms: int, amplitude: int, seed: int) -> Samples:
    """Noise that dies away within so many ms, as a key's or a knock's does."""
    hiss = samples(noise(ms / 1000, amplitude=amplitude, seed=seed))
    return hiss * np.exp(-4 * np.arange(len(hiss)) / len(hiss))


def events(sound: Samples, *, every_ms: int) -> bytes:
    """Ten seconds of a sound again and again in a quiet room, at all places in a block."""
    audio = samples(noise(10, amplitude=10))
    for at in range(SAMPLE_RATE // 2, len(audio) - SAMPLE_RATE // 2, 24 * every_ms + 77):
        audio[at : at + len(sound)] += sound
    return pcm16(audio)


def key() -> Samples:
    """Pressed and let go."""
    pressed, let_go = burst(20, 6_000, seed=2), burst(15, 3_000, seed=3)
    return np.concatenate([pressed, np.zeros(24 * 70), let_go])


def hum(hertz: float) -> bytes:
    harmonics = [tone(10, hertz=hertz * n, amplitude=300 // n) for n in (1, 2, 3, 5)]
    return mixed(*harmonics)


NOT_SPEECH = {
    "silence": silence(10),
    "DC offset": pcm16(np.full(10 * SAMPLE_RATE, 12_000.0)),
    "DC that comes and goes": pcm16(np.tile(np.repeat([0.0, 8_000.0], 30_000), 4)),
    "hiss": noise(10, amplitude=20),
    "50 Hz hum": hum(50),
    "60 Hz hum": hum(60),
    "a sample": events(np.array([30_000.0]), every_ms=400),
    "clicks of 2 ms": events(samples(noise(0.002, amplitude=8_000)), every_ms=400),
    "clicks of 5 ms": events(samples(noise(0.005, amplitude=8_000)), every_ms=400),
    "keys": events(key(), every_ms=350),
    "fast typing": events(key(), every_ms=130),
    "knocks": events(burst(50, 12_000, seed=4), every_ms=700),
}


@pytest.mark.parametrize("pcm", NOT_SPEECH.values(), ids=NOT_SPEECH.keys())
def test_what_is_no_speech_begins_none(pcm: bytes) -> None:
    assert begins(pcm) == []


@pytest.mark.parametrize("amplitude", [50, 100, 300, 1_000])
def test_steady_noise_is_taken_for_speech_once_at_most(amplitude: int) -> None:
    vad = LocalVad()
    assert len(begins(noise(1, amplitude=amplitude), vad)) <= 1
    assert begins(noise(9, amplitude=amplitude, seed=2), vad) == []
    assert not vad.speaking
    loud = mixed(speech("Hello."), noise(len(speech("Hello.")) / 48_000, amplitude=amplitude))
    assert len(begins(loud, vad)) == 1


# -- pieces ---------------------------------------------------------------------------------------

CALL = in_silence(speech("Stop.")) + in_silence(speech("Wait."))


def cut(pcm: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    """The audio in pieces of so many samples, to its end."""
    at = 0
    while at < len(pcm):
        size = SAMPLE_BYTES * next(sizes)
        yield pcm[at : at + size]
        at += size


@functools.cache
def speaking_after_each_block() -> list[tuple[bool, bool]]:
    """Of the call above: whether speech began with a block of 20 ms, and whether it goes on."""
    vad = LocalVad()
    whole = CALL[: len(CALL) // PIECE * PIECE]
    return [(vad.feed(piece), vad.speaking) for piece in pieces(whole, [PIECE] * 1_000) if piece]


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=10).filter(any))
def test_how_audio_is_cut_up_changes_nothing(sizes: list[int]) -> None:
    blocks = speaking_after_each_block()
    vad = LocalVad()
    fed = 0
    for piece in cut(CALL, itertools.cycle(sizes)):
        before, after = fed // PIECE, (fed + len(piece)) // PIECE
        fed += len(piece)
        assert vad.feed(piece) == any(began for began, _ in blocks[before:after])
        assert vad.speaking == (after > 0 and blocks[after - 1][1])


def test_a_long_call_is_not_kept() -> None:
    vad = LocalVad()
    minute = (in_silence(speech("Hello.")) * 60)[: 60 * 48_000 - 2]  # never whole blocks
    vad.feed(minute)
    tracemalloc.start()
    try:
        for _ in range(3):
            vad.feed(minute)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000


# -- the library ----------------------------------------------------------------------------------


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(ConfigError, match=r"needs webrtcvad.*pip install --editable .*\[vad\]"):
        LocalVad()
