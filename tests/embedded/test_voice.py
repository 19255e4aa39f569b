"""Voices. espeak-ng is a process, so these run in real time."""

import os
import shutil
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from agent.audio import seconds_of
from agent.embedded.answers import voice as voices
from agent.embedded.answers.voice import (
    EchoVoice,
    EspeakVoice,
    VoiceError,
    find_voice,
    levelled,
    pcm16,
    wave_samples,
)
from tests.speech import speech, tone

TEXT = "I heard you speak for two seconds."


def wave(pcm: bytes, *, rate: int = 24_000, channels: int = 1, size: int | None = None) -> bytes:
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * 2, 2, 16)
    data = b"data" + struct.pack("<I", len(pcm) if size is None else size) + pcm
    return b"RIFF\0\0\0\0WAVE" + b"LIST\x03\0\0\0abc\0" + b"fmt \x10\0\0\0" + fmt + data


async def test_espeak_speaks() -> None:
    assert speech("A test.")
    pcm = await EspeakVoice().speak(TEXT, b"", 1)
    assert 1.5 < seconds_of(pcm) < 4
    loudness = np.sqrt(np.mean(np.square(np.frombuffer(pcm, "<i2") / 32_768)))
    assert loudness == pytest.approx(0.1, rel=0.1)


async def test_the_introduction_is_long_enough_to_be_interrupted() -> None:
    words = (
        "Hello. I am the demo model that comes with trio voice agent. I run without a key and I "
        "cannot understand words, but I heard you speak for 1.8 seconds. "
        "Set OPENAI_API_KEY to talk to a real model."
    )
    assert seconds_of(await EspeakVoice().speak(words, b"", 1)) > 8


@pytest.mark.parametrize(("speed", "longer"), [(1.5, 0.67), (0.75, 1.33), (0.25, 165 / 80)])
async def test_speed_changes_how_long_it_takes(speed: float, longer: float) -> None:
    usual, other = [await EspeakVoice().speak(TEXT, b"", wanted) for wanted in (1, speed)]
    assert seconds_of(other) / seconds_of(usual) == pytest.approx(longer, rel=0.2)


async def test_text_is_bounded() -> None:
    longest = await EspeakVoice().speak("a " * (voices.MAX_TEXT // 2), b"", 1)
    assert await EspeakVoice().speak("a " * voices.MAX_TEXT, b"", 1) == longest


async def test_a_missing_program_is_told() -> None:
    with pytest.raises(VoiceError, match="cannot be run: No such file"):
        await EspeakVoice("no-such-program").speak(TEXT, b"", 1)


def program(tmp_path: Path, script: str) -> str:
    path = tmp_path / "voice"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("script", "why"),
    [("cat > /dev/null; exit 3", "status 3"), ("cat > /dev/null; echo no", "no WAV")],
)
async def test_a_failing_program_is_told(tmp_path: Path, script: str, why: str) -> None:
    with pytest.raises(VoiceError, match=why):
        await EspeakVoice(program(tmp_path, script)).speak(TEXT, b"", 1)


async def test_a_slow_program_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "DEADLINE", 0.05)
    slow = EspeakVoice(program(tmp_path, "exec sleep 60"))
    with pytest.raises(VoiceError, match="more than"):
        await slow.speak(TEXT, b"", 1)


async def test_a_program_has_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def hang(*_command: object, **_options: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "run_process", hang)
    with pytest.raises(VoiceError, match="more than 10 s"):
        await EspeakVoice().speak(TEXT, b"", 1)
    assert trio.current_time() == pytest.approx(10)


async def test_cancellation_ends_the_program(tmp_path: Path) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    slow = EspeakVoice(program(tmp_path, f"echo $$ > {pipe}; exec sleep 60"))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slow.speak, TEXT, b"", 1)
            pid = int(await trio.to_thread.run_sync(pipe.read_text, abandon_on_cancel=True))
            nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_echo_plays_back_what_was_heard() -> None:
    assert await EchoVoice().speak(TEXT, tone(1), 2) == tone(1)
    chime = await EchoVoice().speak(TEXT, b"", 1)
    assert 0.5 < seconds_of(chime) < 1
    assert 500 < np.abs(np.frombuffer(chime, "<i2").astype(int)).max() < 5_000


@pytest.mark.parametrize(("path", "kind"), [("/bin/espeak-ng", EspeakVoice), (None, EchoVoice)])
def test_the_best_voice_is_found(
    monkeypatch: pytest.MonkeyPatch, path: str | None, kind: type
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: path)
    assert isinstance(find_voice(), kind)


def test_a_wave_may_lie_about_its_size() -> None:
    samples, rate = wave_samples(wave(tone(0.1), rate=22_050, size=0x7FFFF000))
    assert rate == 22_050
    assert pcm16(samples) == tone(0.1)
    short, _ = wave_samples(wave(tone(0.1), size=100))
    assert len(short) == 50


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no WAV"),
        (b"RIFF\0\0\0\0WAVE", "without audio"),
        (wave(b"\0\0", channels=2), "not mono"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\1\0data\0\0\0\0", "broken"),
        (b"RIFF\0\0\0\0WAVEdata\x02\0\0\0\1\0", "without audio"),
    ],
)
def test_what_is_no_wave_is_told(data: bytes, why: str) -> None:
    with pytest.raises(VoiceError, match=why):
        wave_samples(data)


def test_levelling_does_not_clip() -> None:
    spike = np.zeros(24_000, np.float32)
    spike[100] = 0.5
    assert np.max(levelled(spike)) == pytest.approx(0.89)
    assert not np.any(levelled(np.zeros(10, np.float32)))
    assert levelled(np.zeros(0, np.float32)).size == 0
