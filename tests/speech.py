"""Real speech for tests, made by espeak-ng and kept for as long as the tests run."""

import functools
import shutil
import subprocess

import numpy as np
import soxr

from agent.audio import SAMPLE_RATE
from agent.embedded.answers.voice import levelled, pcm16, wave_samples

AUDIBLE = 300
"""A sample further from zero than this is part of the speech."""


@functools.cache
def speech(text: str = "Good morning.", *, voice: str = "en") -> bytes:
    """The text, spoken: pcm16, 24 kHz, without silence before and after it.

    :raises RuntimeError: espeak-ng is not installed.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise RuntimeError("these tests need espeak-ng: apt-get install espeak-ng")
    command = [program, "--stdin", "--stdout", "-v", voice]
    wave = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
    samples, rate = wave_samples(wave)
    pcm = np.frombuffer(pcm16(levelled(soxr.resample(samples, rate, SAMPLE_RATE))), "<i2")
    audible = np.flatnonzero(np.abs(pcm.astype(int)) > AUDIBLE)
    return bytes(pcm[audible[0] : audible[-1] + 1])


def silence(seconds: float) -> bytes:
    """Digital silence, 24 kHz."""
    return bytes(round(seconds * SAMPLE_RATE) * 2)


def tone(seconds: float, *, hertz: float = 440.0, amplitude: int = 8_000) -> bytes:
    """A sine, 24 kHz."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return bytes(np.rint(amplitude * np.sin(2 * np.pi * hertz * time)).astype("<i2"))


def noise(seconds: float, *, amplitude: int = 1_000, seed: int = 1) -> bytes:
    """White noise, 24 kHz; the same for the same seed."""
    samples = np.random.default_rng(seed).normal(0, amplitude, round(seconds * SAMPLE_RATE))
    return bytes(np.clip(np.rint(samples), -32_768, 32_767).astype("<i2"))
