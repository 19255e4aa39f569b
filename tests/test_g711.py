"""G.711: nothing gained or lost but the quality of a telephone, however the audio is cut up."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.audio import SAMPLE_RATE
from agent.errors import ConfigError
from agent.g711 import G711_RATE, G711Decoder, G711Encoder, G711Law
from tests.speech import noise, silence, tone

LAWS: tuple[G711Law, ...] = ("audio/pcmu", "audio/pcma")
SECOND = noise(1, amplitude=6_000)
SECOND_OF_BYTES = bytes(np.random.default_rng(2).integers(0, 256, G711_RATE, np.uint8))

each_law = pytest.mark.parametrize("law", LAWS)
laws = st.sampled_from(LAWS)
# Frames and deltas of the usual sizes, and crumbs.
sizes = st.lists(st.one_of(st.integers(0, 7), st.integers(0, 3_000)), max_size=30)


class Converter(Protocol):
    """Either direction."""

    def feed(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def cut(data: bytes, pieces: Iterable[int]) -> Iterator[bytes]:
    """The data in pieces of these sizes, as far as it reaches."""
    at = 0
    for size in pieces:
        yield data[at : at + size]
        at += size


def convert(stream: Converter, pieces: Iterable[bytes]) -> bytes:
    return b"".join([*map(stream.feed, pieces), stream.flush()])


def there_and_back(law: G711Law, pcm: bytes) -> bytes:
    return convert(G711Decoder(law), [convert(G711Encoder(law), [pcm])])


def samples(pcm: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """As floats, without 100 ms at both ends, where a filter sees the edge."""
    return np.frombuffer(pcm, "<i2").astype(np.float64)[2_400:-2_400]


def decibels(power: float, reference: float) -> float:
    return float(10 * np.log10((power + 1e-12) / reference))


# -- how much comes out ---------------------------------------------------------------------------


@given(laws, sizes)
def test_making_g711_gives_one_byte_for_three_samples_and_never_too_early(
    law: G711Law, sizes: list[int]
) -> None:
    encoder = G711Encoder(law)
    fed = made = 0
    for piece in cut(SECOND, sizes):
        fed += len(piece)
        made += len(encoder.feed(piece))
        assert 3 * made <= fed // 2
    made += len(encoder.flush())
    assert made == -(-(fed // 2) // 3)


@given(laws, sizes)
def test_reading_g711_gives_three_samples_for_one_byte_and_never_too_early(
    law: G711Law, sizes: list[int]
) -> None:
    decoder = G711Decoder(law)
    fed = made = 0
    for piece in cut(SECOND_OF_BYTES, sizes):
        fed += len(piece)
        pcm = decoder.feed(piece)
        assert len(pcm) % 2 == 0
        made += len(pcm) // 2
        assert made <= 3 * fed
    assert made + len(decoder.flush()) // 2 == 3 * fed


@each_law
def test_a_long_call_loses_no_sample(law: G711Law) -> None:
    minutes = 10
    encoder, decoder = G711Encoder(law), G711Decoder(law)
    encoded = [encoder.feed(SECOND) for _ in range(60 * minutes)] + [encoder.flush()]
    assert sum(map(len, encoded)) == 60 * minutes * G711_RATE
    decoded = [len(decoder.feed(piece)) for piece in encoded] + [len(decoder.flush())]
    assert sum(decoded) == 60 * minutes * len(SECOND)


@each_law
def test_no_more_than_40_ms_are_held_back(law: G711Law) -> None:
    encoder, decoder = G711Encoder(law), G711Decoder(law)
    frames, encoded, decoded = 50, 0, 0
    for frame in range(1, frames + 1):
        encoded += len(encoder.feed(silence(0.02)))
        decoded += len(decoder.feed(bytes(G711_RATE // 50))) // 2
        assert encoded / G711_RATE >= 0.02 * frame - 0.0401
        assert decoded / SAMPLE_RATE >= 0.02 * frame - 0.0401


# -- what comes out -------------------------------------------------------------------------------


@given(laws, sizes)
def test_how_audio_is_cut_up_changes_nothing(law: G711Law, sizes: list[int]) -> None:
    pcm, data = SECOND[: sum(sizes)], SECOND_OF_BYTES[: sum(sizes)]
    assert convert(G711Encoder(law), cut(pcm, sizes)) == convert(G711Encoder(law), [pcm])
    assert convert(G711Decoder(law), cut(data, sizes)) == convert(G711Decoder(law), [data])


@given(laws, st.integers(0, 1_000))
def test_half_a_sample_at_the_end_is_dropped(law: G711Law, size: int) -> None:
    whole = convert(G711Encoder(law), [SECOND[: 2 * size]])
    assert convert(G711Encoder(law), [SECOND[: 2 * size + 1]]) == whole


@given(laws, st.integers(0, 2_000))
def test_after_a_flush_a_stream_is_as_new(law: G711Law, size: int) -> None:
    encoder, decoder = G711Encoder(law), G711Decoder(law)
    convert(encoder, [SECOND[:size]])
    convert(decoder, [SECOND_OF_BYTES[:size]])
    assert convert(encoder, [SECOND]) == convert(G711Encoder(law), [SECOND])
    assert convert(decoder, [SECOND_OF_BYTES]) == convert(G711Decoder(law), [SECOND_OF_BYTES])


@each_law
@pytest.mark.parametrize("amplitude", [1_000, 8_000, 30_000])
def test_there_and_back_a_tone_is_as_clean_as_a_telephone(law: G711Law, amplitude: int) -> None:
    pcm = tone(2, hertz=1_000, amplitude=amplitude)
    before, after = samples(pcm), samples(there_and_back(law, pcm))
    assert len(after) == len(before)
    # In its place to the sample: the difference is all of the noise.
    noise_power = float(np.mean((after - before) ** 2))
    assert decibels(float(np.mean(before**2)), noise_power) > 34


@each_law
def test_silence_stays_silence(law: G711Law) -> None:
    # A-law has no zero: its smallest step is 8.
    assert max(abs(samples(there_and_back(law, silence(1))))) <= 8


@each_law
@pytest.mark.parametrize("hertz", [4_500, 6_000, 7_000, 10_000])
def test_a_tone_that_8_khz_cannot_carry_is_gone_and_does_not_fold_down(
    law: G711Law, hertz: float
) -> None:
    loud = tone(1, hertz=hertz, amplitude=20_000)
    left = float(np.mean(samples(there_and_back(law, loud)) ** 2))
    assert decibels(left, float(np.mean(samples(loud) ** 2))) < -60


@each_law
def test_reading_adds_nothing_above_4_khz(law: G711Law) -> None:
    after = samples(there_and_back(law, tone(2, hertz=1_000, amplitude=20_000)))
    spectrum = np.abs(np.fft.rfft(after * np.hanning(len(after)))) ** 2
    above = float(spectrum[len(spectrum) // 3 :].sum())
    assert decibels(above, float(spectrum.sum())) < -60


@each_law
def test_too_loud_is_clipped_and_does_not_wrap_round(law: G711Law) -> None:
    # A square wave's filtered edges overshoot what 16 bits hold.
    square = np.tile(np.repeat(np.array([32_767, -32_768], "<i2"), 120), 100).tobytes()
    middles = samples(there_and_back(law, square)).reshape(-1, 120)[:, 40:80]
    assert (middles[::2] > 28_000).all()
    assert (middles[1::2] < -28_000).all()


def test_the_laws_are_those_of_the_recommendation() -> None:
    """Digital silence and the loudest samples, ITU-T G.711, tables 1a to 2b."""
    assert set(convert(G711Encoder("audio/pcmu"), [silence(1)])) == {0xFF}
    assert set(convert(G711Encoder("audio/pcma"), [silence(1)])) == {0xD5}
    loudest: list[tuple[G711Law, int, int]] = [
        ("audio/pcmu", 0x80, 32_124),
        ("audio/pcmu", 0x00, -32_124),
        ("audio/pcma", 0xAA, 32_256),
        ("audio/pcma", 0x2A, -32_256),
    ]
    for law, byte, value in loudest:
        steady = samples(convert(G711Decoder(law), [bytes([byte]) * G711_RATE]))
        assert set(abs(steady - value) <= 1) == {True}


# -- the libraries --------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["soxr", "numpy", "audioop"])
@pytest.mark.parametrize("stream", [G711Encoder, G711Decoder])
def test_without_the_extra_the_error_says_what_to_install(
    missing: str, stream: type[G711Encoder | G711Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "numpy":  # soxr would be found in sys.modules and never ask for it
        monkeypatch.delitem(sys.modules, "soxr")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"needs {missing}.*the extra g711"):
        stream("audio/pcmu")


def test_the_import_warns_of_nothing() -> None:
    """audioop's own deprecation is dealt with by the extra."""
    program = "from agent.g711 import G711Encoder; G711Encoder('audio/pcmu').feed(bytes(960))"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=Path(__file__).parents[1], check=True
    )
