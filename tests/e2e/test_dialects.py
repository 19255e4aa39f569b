"""The agent and the embedded model as two processes: every dialect, key and audio format."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen

from tests.embedded.processes import PATIENCE_S, ModelProcess, environment, running_model
from tests.speech import AUDIBLE, silence, speech

KEY = "sk-hunter2"
NARROW_HZ = 4_000
"""G.711 carries no more: half of its 8 kHz."""


def write_wav(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(pcm)
    return path


def read_wav(path: Path) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def part_above(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]", hertz: float) -> float:
    """How much of the audio's energy lies above a frequency."""
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / 24_000)
    return float(power[frequencies > hertz].sum() / power.sum())


@frozen
class Case:
    """What an agent is told of the model's server."""

    dialect: str
    auth: str
    audio_format: str
    key: str = KEY

    def start(self, directory: Path, model: ModelProcess) -> "subprocess.Popen[str]":
        """A call of a recording with this model; the answer is in answer.wav."""
        directory.mkdir()
        write_wav(directory / "question.wav", speech("Good morning.") + silence(0.3))
        arguments = ("--wav-in", "question.wav", "--wav-out", "answer.wav")
        # A short answer is enough.
        more = ("--audio-format", self.audio_format, "--max-output-tokens", "80")
        return subprocess.Popen(
            [sys.executable, "-m", "agent", *arguments, *more],
            env=environment(
                REALTIME_API_BASE_URI=f"ws://{model.authority}",
                REALTIME_API_DIALECT=self.dialect,
                REALTIME_API_AUTH=self.auth,
                OPENAI_API_KEY=self.key,
                OPENAI_MODEL="embedded",
                LOG_LEVEL="debug",
            ),
            cwd=directory,
            stderr=subprocess.PIPE,
            text=True,
        )


@frozen
class Ended:
    """How a call ended.

    :ivar log: standard error.
    """

    status: int
    log: str
    answer: Path


CASES = [
    Case("ga", "bearer", "audio/pcm"),
    Case("ga", "bearer", "audio/pcmu"),
    Case("beta", "basic", "audio/pcm"),
    Case("beta", "bearer", "audio/pcma"),
]
STRANGER = Case("ga", "bearer", "audio/pcm", key="wrong-key-of-mine")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Ended]:
    """All calls at once, because each takes as long as people speak."""
    directory = tmp_path_factory.mktemp("calls")
    with running_model(directory, "--beta", EMBEDDED_API_KEY=KEY) as model:
        running = {
            case: (directory / str(number), case.start(directory / str(number), model))
            for number, case in enumerate([*CASES, STRANGER])
        }
        ended = {}
        for case, (folder, process) in running.items():
            with process:
                _, log = process.communicate(timeout=PATIENCE_S)
                ended[case] = Ended(process.returncode, log, folder / "answer.wav")
    return ended


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dialect}-{case.audio_format}")
def test_a_recording_is_answered(case: Case, calls: dict[Case, Ended]) -> None:
    call = calls[case]
    assert call.status == 0, call.log
    assert ", 0 malformed events," in call.log
    assert ("input_audio_format" in call.log) == (case.dialect == "beta")
    assert KEY not in call.log
    said = read_wav(call.answer)
    assert np.abs(said.astype(int)).max() > AUDIBLE
    # Speech has a part above 4 kHz, and G.711 none.
    assert (part_above(said, NARROW_HZ) < 0.001) == (case.audio_format != "audio/pcm")


def test_a_wrong_key_is_one_line(calls: dict[Case, Ended]) -> None:
    call = calls[STRANGER]
    assert call.status == 1
    assert "Incorrect API key provided" in call.log.splitlines()[-1]
    assert STRANGER.key not in call.log
