"""Recordings: what can be read, and one time axis for what is played and what is heard."""

import struct
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import trio
from trio.testing import MockClock

from agent.audio import BYTES_PER_SECOND, SAMPLE_RATE, ms_to_bytes
from agent.errors import ConfigError, RecordingError
from agent.rtc.channel import RecordingOver, RtcChannel, UserJoined
from agent.rtc.handover import APPEND_MS
from agent.rtc.wav import RECORDED_UID, check_writable, open_wav_channel, read_wav
from tests.speech import tone

APPEND = ms_to_bytes(APPEND_MS)
Samples = npt.NDArray[np.float64]


def write(path: Path, frames: bytes, *, rate: int, width: int, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    return path


def encoded(samples: Samples, width: int) -> bytes:
    """Samples from -1 to 1 as a WAV file holds them."""
    if width == 1:
        return bytes(np.rint(samples * 127 + 128).astype(np.uint8))
    whole = np.rint(samples * (2 ** (8 * width - 1) - 1)).astype("<i4")
    return b"".join(int(value).to_bytes(4, "little", signed=True)[:width] for value in whole)


def sine(hertz: float, seconds: float, rate: int, level: float = 0.5) -> Samples:
    wave_: Samples = level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return wave_


def level_and_rest(pcm: bytes, hertz: float) -> tuple[float, float]:
    """How loud a sine of this frequency is in the middle of it, and how loud all else is."""
    samples = np.frombuffer(pcm, "<i2").astype(float) / 2**15
    middle = samples[len(samples) // 10 : -len(samples) // 10]
    time = np.arange(len(middle)) / SAMPLE_RATE
    basis = np.stack([np.sin(2 * np.pi * hertz * time), np.cos(2 * np.pi * hertz * time)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, middle, rcond=None)
    return float(np.hypot(*weights)), float(np.std(middle - basis @ weights))


def test_what_fits_is_taken_as_it_is(tmp_path: Path) -> None:
    pcm = tone(0.5, hertz=300)
    assert read_wav(write(tmp_path / "a.wav", pcm, rate=24_000, width=2)) == pcm


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_and_level_at_any_rate(rate: int, tmp_path: Path) -> None:
    file = write(tmp_path / "a.wav", encoded(sine(1000, 0.5, rate), 2), rate=rate, width=2)
    pcm = read_wav(file)
    assert abs(len(pcm) - BYTES_PER_SECOND // 2) <= 20
    level, rest = level_and_rest(pcm, 1000)
    assert level == pytest.approx(0.5, rel=0.01)
    assert rest < 0.001


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("rate", [24_000, 44_100])
def test_a_tone_keeps_its_pitch_and_level_at_any_width(
    rate: int, width: int, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.wav", encoded(sine(1000, 0.5, rate), width), rate=rate, width=width)
    level, rest = level_and_rest(read_wav(file), 1000)
    assert level == pytest.approx(0.5, rel=0.01)
    assert rest < (0.005 if width == 1 else 0.001)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_silence_stays_silence(width: int, tmp_path: Path) -> None:
    file = write(tmp_path / "a.wav", encoded(np.zeros(4410), width), rate=44_100, width=width)
    assert not any(read_wav(file))


@pytest.mark.parametrize(("left", "right", "mixed"), [(1.0, 1.0, 1.0), (1.0, 0.0, 0.5), (1, -1, 0)])
def test_channels_are_mixed(left: float, right: float, mixed: float, tmp_path: Path) -> None:
    wave_ = sine(1000, 0.5, 44_100)
    both = np.stack([left * wave_, right * wave_], axis=1).ravel()
    file = write(tmp_path / "a.wav", encoded(both, 2), rate=44_100, width=2, channels=2)
    level, rest = level_and_rest(read_wav(file), 1000)
    assert level == pytest.approx(0.5 * mixed, abs=0.005)
    assert rest < 0.001


def test_what_is_full_scale_is_not_wrapped(tmp_path: Path) -> None:
    square = np.sign(sine(200, 0.2, 44_100, 1.0))
    file = write(tmp_path / "a.wav", encoded(square, 2), rate=44_100, width=2)
    samples = np.frombuffer(read_wav(file), "<i2").astype(int)
    middle = samples[10:50]  # of the first half wave
    assert middle.min() > 25_000


def header(*, width: int = 2, channels: int = 1, rate: int = 24_000, kind: int = 1) -> bytes:
    block = width * channels
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * block % 2**32, block, 8 * width)
    return b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<I", 16) + fmt + b"data"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a PCM WAV file: it ends too early"),
        (b"RIFF", "not a PCM WAV file: "),
        (b"\xff\xfb\x90\x00" * 100, "not a PCM WAV file: "),
        (b"OggS" + bytes(100), "not a PCM WAV file: "),
        (header(kind=3) + bytes(8), "not a PCM WAV file: "),
        (header(channels=0) + bytes(8), "not a PCM WAV file: "),
        (header(width=0) + bytes(8), "not a PCM WAV file: "),
        (header() + struct.pack("<I", 0), "holds no audio"),
        (header() + struct.pack("<I", 2) + b"x", "holds no audio"),
        (header(width=5) + struct.pack("<I", 20) + bytes(20), "40 bits a sample"),
        (header(rate=0) + struct.pack("<I", 20) + bytes(20), "0 Hz"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(
    data: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(RecordingError) as caught:
        read_wav(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError)


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot be read: No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(RecordingError, match=r"cannot be read: Is a directory"):
        read_wav(tmp_path)


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_a_file_that_was_cut_short_is_read_to_its_last_whole_sample(
    rate: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(header(rate=rate) + struct.pack("<I", 2 * rate) + b"\x01\x10" * 999 + b"\x01")
    pcm = read_wav(path)
    assert abs(len(pcm) - 2 * 999 * 24_000 // rate) <= 2


def test_whether_a_file_can_be_written_is_known_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"kept")
    check_writable(path)
    assert path.read_bytes() == b"kept"
    for bad in (tmp_path, path / "b.wav", tmp_path / "none" / "a.wav"):
        with pytest.raises(RecordingError, match=r"cannot be written: "):
            check_writable(bad)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_full_disk_is_told_in_one_line(autojump_clock: MockClock) -> None:
    full = Path("/dev/full")
    with pytest.RaisesGroup(
        pytest.RaisesExc(RecordingError, match="cannot be written: No space left"),
        allow_unwrapped=True,
        flatten_subgroups=True,
    ):
        async with open_wav_channel(bytes(100), full) as channel:
            channel.listen_to(RECORDED_UID)
            await trio.sleep(1)


# -- the channel ---------------------------------------------------------------------------------


async def test_the_recording_is_played_in_real_time_once_listened_to(
    autojump_clock: MockClock,
) -> None:
    recording = bytes(range(1, 251)) * 8  # 41.7 ms
    async with open_wav_channel(recording, None) as channel:
        assert await channel.events.receive() == UserJoined(RECORDED_UID)
        with trio.move_on_after(5):
            await channel.audio.receive()
            raise AssertionError("it began by itself")
        channel.listen_to(RECORDED_UID)
        began = trio.current_time()
        heard = b""
        for number in range(1, 200):
            heard += await channel.audio.receive()
            assert trio.current_time() - began == pytest.approx(number * 0.02)
        assert heard.startswith(recording)
        assert not any(heard[len(recording) :])
        assert len(heard) == 199 * APPEND


async def test_the_end_of_the_recording_is_told_once(autojump_clock: MockClock) -> None:
    async with open_wav_channel(bytes(ms_to_bytes(95)), None) as channel:
        await channel.events.receive()
        channel.listen_to(RECORDED_UID)
        began = trio.current_time()
        assert await channel.events.receive() == RecordingOver()
        assert trio.current_time() - began == pytest.approx(0.1)
        with trio.move_on_after(5):
            await channel.events.receive()
            raise AssertionError("it was told again")


def spoken(value: int, ms: int) -> bytes:
    return value.to_bytes(2, "little") * (ms_to_bytes(ms) // 2)


def read_answer(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        assert file.getparams()[:3] == (1, 2, SAMPLE_RATE)
        return file.readframes(file.getnframes())


async def test_the_answer_has_the_recordings_time_axis(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "answer.wav"
    async with open_wav_channel(bytes(APPEND), path) as channel:
        await trio.sleep(7)  # connecting takes its time, which stands in no file
        channel.listen_to(RECORDED_UID)
        await trio.sleep(0.25)
        channel.play(spoken(1, 40))
        await trio.sleep(0.02)
        channel.play(spoken(2, 40))  # ahead of its time: it is heard behind the first
        await trio.sleep(0.5)
        channel.play(spoken(3, 40))
        await trio.sleep(0.1)
    assert read_answer(path) == (
        bytes(ms_to_bytes(250))
        + spoken(1, 40)
        + spoken(2, 40)
        + bytes(ms_to_bytes(440))
        + spoken(3, 40)
    )


async def test_clear_cuts_off_what_was_not_heard_yet(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "answer.wav"
    async with open_wav_channel(bytes(APPEND), path) as channel:
        channel.clear()  # before there is a time axis
        channel.listen_to(RECORDED_UID)
        channel.play(spoken(1, 60))
        await trio.sleep(0.02)
        channel.clear()
        await trio.sleep(0.1)
        channel.play(spoken(2, 10))
        await trio.sleep(0.05)
    assert read_answer(path) == spoken(1, 20) + bytes(ms_to_bytes(100)) + spoken(2, 10)


async def test_clear_tells_how_much_it_cut_off(autojump_clock: MockClock) -> None:
    async with open_wav_channel(bytes(APPEND), None) as channel:
        channel.play(spoken(1, 30))
        assert channel.clear() == 30 * 24  # before there is a time axis
        assert channel.clear() == 0
        channel.listen_to(RECORDED_UID)
        await trio.sleep(0.1)
        assert channel.clear() == 0
        channel.play(spoken(2, 60))
        await trio.sleep(0.02)
        channel.play(spoken(3, 40))
        assert channel.clear() == 80 * 24
        channel.play(spoken(4, 10))
        await trio.sleep(0.5)
        assert channel.clear() == 0
        heard = bytes(ms_to_bytes(100)) + spoken(2, 20) + spoken(4, 10)
        assert channel.heard() == heard


async def test_a_recording_gives_no_receipts(autojump_clock: MockClock) -> None:
    def receipts(channel: RtcChannel) -> int | None:
        return channel.played()

    async with open_wav_channel(bytes(APPEND), None) as channel:
        channel.listen_to(RECORDED_UID)
        channel.play(spoken(1, 60))
        await trio.sleep(0.02)
        assert receipts(channel) is None


async def test_what_was_not_heard_at_the_end_is_not_in_the_file(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "answer.wav"
    with trio.CancelScope() as scope:
        async with open_wav_channel(bytes(APPEND), path) as channel:
            channel.listen_to(RECORDED_UID)
            channel.play(spoken(1, 60))
            await trio.sleep(0.03)
            scope.cancel()
            await trio.sleep_forever()
    assert read_answer(path) == spoken(1, 30)


async def test_a_call_that_never_began_leaves_a_wav_without_audio(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "answer.wav"
    async with open_wav_channel(bytes(APPEND), path):
        pass
    assert read_answer(path) == b""


async def test_nothing_is_played_where_the_answer_cannot_be_written(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match="cannot be written: Is a directory"):
        async with open_wav_channel(bytes(APPEND), tmp_path):
            raise AssertionError("it was joined")


async def test_data_messages_go_nowhere(autojump_clock: MockClock) -> None:
    async with open_wav_channel(bytes(APPEND), None) as channel:
        await channel.send_data("1|1|1|e30=")
