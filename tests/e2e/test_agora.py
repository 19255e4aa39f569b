"""`python -m agent` in an Agora channel, as people run it: every end, its exit status, its line.

The agent is a real process with the wrapper's real code; the SDK under it is a stand-in, told by a
plan in the environment what happens.
"""

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from attrs import field, frozen

from agent.streams.chunks import Reassembler
from tests.e2e.processes import ROOT, clean_environment, running_server
from tests.fakes.agora import APP_ID, CERTIFICATE, environment
from tests.speech import silence, speech

PATIENCE_S = 60
PLAN: dict[str, Any] = {"app_id": APP_ID, "certificate": CERTIFICATE}
PERSON = {"uid": 7}


@frozen
class Case:
    """A call that ends by itself.

    :ivar plan: what happens in it.
    :ivar words: what the last line of the log says of it.
    """

    plan: dict[str, Any]
    status: int
    words: str
    more: tuple[str, ...] = ()
    environ: dict[str, str] = field(factory=dict)


# One of each kind: which fault is which, tests/rtc/test_agora_failures.py has.
CASES = {
    "a project that Agora does not know": Case(
        {"app_id": "c" * 32}, 2, r"AGORA_APP_ID: Agora knows no such project \(Agora's reason 6\)"
    ),
    "an app id that is none": Case(
        {}, 2, "AGORA_APP_ID: must be 32 hexadecimal digits", environ={"AGORA_APP_ID": "app"}
    ),
    "a network that does not answer": Case(
        {"outcome": "silent"}, 1, "did not let us into the channel within 10 s"
    ),
    "a library that can't be loaded": Case(
        {"import": "exit"}, 2, "can't load its native library: "
    ),
    "being put out": Case(
        {"people": [PERSON], "events": [{"at_s": 0.5, "do": "kick", "uid": 1, "reason": 3}]},
        1,
        "the channel was lost: we were banned from the channel",
    ),
    "nobody comes": Case({}, 3, "nobody came within 1 s", ("--wait-for-user-s", "1")),
    "the person leaves": Case(
        {"people": [PERSON | {"leaves_at_s": 0.5}]},
        0,
        "the person left",
        ("--user-rejoin-grace-s", "0"),
    ),
    "an outage that ends": Case(
        {
            "people": [PERSON],
            "events": [
                {"at_s": 0.4, "do": "lose", "uid": 1},
                {"at_s": 0.8, "do": "recover", "uid": 1},
            ],
        },
        0,
        "the limit of 2 s was reached",
        ("--max-duration-s", "2"),
    ),
}


def start(
    directory: Path, plan: dict[str, Any], *more: str, **environ: str
) -> "subprocess.Popen[str]":
    """An agent that goes to Agora; the stand-in's report is in report.json."""
    directory.mkdir(parents=True, exist_ok=True)
    told = PLAN | {"report": str(directory / "report.json")} | plan
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "--channel-name", "demo", "--uid", "1", *more],
        env=clean_environment()
        | environment(told)
        | {"AGORA_APP_ID": APP_ID, "AGORA_APP_CERT": CERTIFICATE, "LOG_FORMAT": "plain"}
        | environ,
        cwd=directory,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_nothing_is_left(directory: Path, log: str) -> None:
    """The agent has left, in order, and said nothing that is secret."""
    assert CERTIFICATE not in log
    assert not re.search(r"\b007\S{20}", log)
    assert "Traceback" not in log
    path = directory / "report.json"
    if path.exists():
        report = orjson.loads(path.read_bytes())
        assert report["violations"] == report["callback_errors"] == []
        last = [call["method"] for call in report["calls"]][-1:]
        assert last in ([], ["AgoraService.release"])


def test_every_end_has_its_status_and_one_line(tmp_path: Path) -> None:
    with ExitStack() as stack:
        calls = {
            name: stack.enter_context(
                start(tmp_path / name.replace(" ", "-"), case.plan, *case.more, **case.environ)
            )
            for name, case in CASES.items()
        }
        logs = {name: call.communicate(timeout=PATIENCE_S)[1] for name, call in calls.items()}
    wrong = []
    for name, case in CASES.items():
        last = logs[name].strip().splitlines()[-1]
        if calls[name].returncode != case.status or not re.search(case.words, last):
            wrong.append(f"{name}: {calls[name].returncode}: {logs[name]}")
        check_nothing_is_left(tmp_path / name.replace(" ", "-"), logs[name])
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("is_stuck", [False, True])
def test_on_a_signal_the_channel_is_left(is_stuck: bool, tmp_path: Path) -> None:
    log = ""
    blocks_s = {"RTCConnection.disconnect": 600} if is_stuck else {}
    with start(tmp_path, {"people": [PERSON], "blocks_s": blocks_s}) as call:
        assert call.stderr is not None
        for line in call.stderr:
            log += line
            if "listening to 7" in line:
                call.send_signal(signal.SIGTERM)
        assert call.wait(PATIENCE_S) == 0, log
    assert "stopped by SIGTERM" in log.splitlines()[-1]
    if is_stuck:
        assert "is stuck and is left behind" in log
        return
    check_nothing_is_left(tmp_path, log)
    report = orjson.loads((tmp_path / "report.json").read_bytes())
    assert report["members"] == {"demo": ["7"]}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AGORA_APP_ID": APP_ID}, r"extra agora is not installed.*pip install.*RTC=local"),
        ({"RTC": "agora"}, r"AGORA_APP_ID: is not set.*RTC=local"),
    ],
)
def test_what_is_missing_is_named_with_the_way_on(environ: dict[str, str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--channel-name", "demo"],
        env=clean_environment() | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert re.search(words, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1


async def test_a_server_s_agents_meet_people_in_agora(tmp_path: Path) -> None:
    """The server, its embedded model, an agent process: a question is heard and answered."""
    question, report = tmp_path / "question.pcm", tmp_path / "report.json"
    question.write_bytes(speech("Good morning.") + silence(1))
    plan = PLAN | {
        "people": [PERSON | {"speaks": str(question), "leaves_at_s": 4.5}],
        "report": str(report),
    }
    agora = {"AGORA_APP_ID": APP_ID, "AGORA_APP_CERT": CERTIFICATE, "LOG_LEVEL": "debug"}
    async with running_server(exit_status=0, **(environment(plan) | agora)) as server:
        status, answer = await server.post("/start_agent", {"channel_name": "demo", "uid": 1})
        assert (status, answer["embedded"]) == (200, True)
        status, token = await server.post("/agora_token", {"channel_name": "demo", "uid": 7})
        assert (status, token["token"][:3]) == (200, "007")
        for _ in range(10 * PATIENCE_S):
            if not (await server.get("/agents"))[1]["agents"]:
                break
            await trio.sleep(0.1)
    (person,) = orjson.loads(report.read_bytes())["people"]
    assert person["heard_loud_bytes"] > 24_000
    told = [whole for whole in map(Reassembler().feed, repeat(1), person_lines(person)) if whole]
    assert {"response.audio_transcript.delta"} <= {message["type"] for message in told}
    log = "\n".join(server.output)
    check_nothing_is_left(tmp_path, log)
    assert token["token"] not in log


def person_lines(person: dict[str, Any]) -> list[str]:
    """The data messages that a person got."""
    return [message["data"] for message in person["messages"]]
