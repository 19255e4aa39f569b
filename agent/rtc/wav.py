"""A recording as the person: it is played in real time, and the answer is written as a WAV file.

Both files share one time axis: second 0 of the answer's file is second 0 of the recording.
"""

import struct
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

import trio

from agent.audio import (
    BYTES_PER_SECOND,
    FRAME_MS,
    SAMPLE_BYTES,
    SAMPLE_RATE,
    ms_to_bytes,
)
from agent.errors import RecordingError
from agent.extras import how_to_install
from agent.rtc.channel import ChannelEvent, RecordingOver, UserJoined
from agent.rtc.handover import APPEND_MS, AudioHandover

RECORDED_UID: Final = 1
"""Who the recording is taken to be."""
AGENT_UID: Final = 2


def read_wav(path: Path) -> bytes:
    """A WAV file as 24 kHz mono pcm16: channels are mixed, other rates resampled.

    :raises RecordingError: it can't be read, is no PCM WAV file, or needs the extra `wav`.
    """
    try:
        with wave.open(BytesIO(_plain(path.read_bytes())), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    except (wave.Error, EOFError, struct.error) as error:
        why = str(error) or "it ends too early"
        raise RecordingError(f"{path}: not a PCM WAV file: {why}") from error
    if width > 4 or rate < 1:
        raise RecordingError(f"{path}: {rate} Hz with {8 * width} bits a sample is not understood")
    # A file that was cut short may end in the midst of a sample.
    frames = frames[: len(frames) // (width * channels) * (width * channels)]
    if not frames:
        raise RecordingError(f"{path}: holds no audio")
    if (width, channels, rate) == (SAMPLE_BYTES, 1, SAMPLE_RATE):
        return frames
    return _convert(path, frames, width, channels, rate)


def _plain(data: bytes) -> bytes:
    """The file with WAVE_FORMAT_EXTENSIBLE taken for PCM where its subformat says that it is.

    Python's `wave` knows that format from 3.12 on only. Many tools write it for 24 bits or for
    more than two channels. See Microsoft's "Multiple Channel Audio Data and WAVE Files": the tag
    is the first field of the chunk `fmt `, the subformat's first two bytes are at offset 24.
    """
    tag = data.find(b"fmt ", 12, 4096) + 8
    is_pcm = data[tag : tag + 2] == b"\xfe\xff" and data[tag + 24 : tag + 26] == b"\x01\x00"
    return data[:tag] + b"\x01\x00" + data[tag + 2 :] if is_pcm else data


def _convert(path: Path, frames: bytes, width: int, channels: int, rate: int) -> bytes:
    # numpy comes with soxr; a call whose recording fits already pays for neither.
    try:
        import numpy as np
        import soxr
    except ImportError:
        raise RecordingError(
            f"{path}: {rate} Hz with {channels} channels needs resampling: {how_to_install('wav')}"
        ) from None
    if width == 1:
        samples = np.frombuffer(frames, np.uint8).astype(np.float32) / 128 - 1
    elif width == 3:
        padded = np.zeros((len(frames) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        samples = padded.view("<i4")[:, 0].astype(np.float32) / 2**31
    else:
        scale = 2 ** (8 * width - 1)
        samples = np.frombuffer(frames, f"<i{width}").astype(np.float32) / scale
    mono = samples.reshape(-1, channels).mean(axis=1)
    resampled = soxr.resample(mono, rate, SAMPLE_RATE)
    pcm: bytes = (np.clip(resampled, -1, 1) * 32767).round().astype("<i2").tobytes()
    return pcm


@asynccontextmanager
async def open_wav_channel(
    recording: bytes, answer: Path | None, *, warn_at: int = 5
) -> AsyncIterator["WavChannel"]:
    """Play a recording as the person; the answer is written when the context exits.

    :param recording: 24 kHz mono pcm16.
    :param answer: where to write what the agent said; None writes nothing.
    :raises RecordingError: the answer's file cannot be written; before anything is played, where
        that can be known.
    """
    channel = WavChannel(recording, warn_at)
    if answer is not None:
        check_writable(answer)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            yield channel
            nursery.cancel_scope.cancel()
    finally:
        if answer is not None:
            _write_wav(answer, channel.heard())


def check_writable(path: Path) -> None:
    """Make sure that a file can be written, before a call is held for nothing.

    A file that is there keeps what it holds.

    :raises RecordingError: it cannot be written.
    """
    is_new = not path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise _unwritable(path, error) from error
    if is_new:
        path.unlink(missing_ok=True)  # a call that fails leaves no empty file


def _write_wav(path: Path, pcm: bytes) -> None:
    try:
        # Opened here: `wave` itself leaves half an object behind where it cannot open a file.
        with path.open("wb") as file, wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(SAMPLE_BYTES)
            writer.setframerate(SAMPLE_RATE)
            writer.writeframes(pcm)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path}: cannot be written: {error.strerror}")


class WavChannel:
    """A channel in which a recording is the only person.

    What is played is heard as in a real channel: after what is still to be heard, at the earliest
    now; a clear cuts off what has not been heard yet.
    """

    uid: Final = AGENT_UID

    def __init__(self, recording: bytes, warn_at: int) -> None:
        self.audio = AudioHandover(warn_at=warn_at)
        self._recording = recording
        self._began: float | None = None
        self._heard = bytearray()
        self._events_in, self.events = trio.open_memory_channel[ChannelEvent](8)
        self._events_in.send_nowait(UserJoined(RECORDED_UID))
        self._listening = trio.Event()

    def listen_to(self, uid: int) -> None:
        """See `RtcChannel`. The recording begins now."""
        self._listening.set()

    def play(self, pcm: bytes) -> None:
        """See `RtcChannel`."""
        missing = self._position() - len(self._heard)
        if missing > 0:
            self._heard += bytes(missing)
        self._heard += pcm

    def clear(self) -> int:
        """See `RtcChannel`."""
        unheard = len(self._heard[self._position() :]) // SAMPLE_BYTES
        del self._heard[self._position() :]
        return unheard

    def played(self) -> None:
        """See `RtcChannel`. A recording gives no receipts."""

    async def send_data(self, packet: str) -> bool:
        """See `RtcChannel`. Nobody reads it."""
        await trio.lowlevel.checkpoint()
        return True

    def heard(self) -> bytes:
        """All that was heard until now, as pcm16."""
        return bytes(self._heard[: self._position()])

    async def run(self) -> None:
        """Play the recording in real time, then silence: a line stays open after a sentence."""
        await self._listening.wait()
        self._began = trio.current_time()
        size = ms_to_bytes(APPEND_MS)
        over_at = len(self._recording)
        at = 0
        while True:
            # To absolute deadlines, so that nothing drifts.
            await trio.sleep_until(self._began + (at + size) / BYTES_PER_SECOND)
            piece = self._recording[at : at + size]
            self.audio.put(piece + bytes(size - len(piece)))
            if at < over_at <= at + size:
                self._events_in.send_nowait(RecordingOver())
            at += size

    def _position(self) -> int:
        """Bytes of the time axis that have passed, in whole frames."""
        if self._began is None:
            return 0
        frames = int((trio.current_time() - self._began) * 1000 / FRAME_MS + 0.5)
        return ms_to_bytes(frames * FRAME_MS)
