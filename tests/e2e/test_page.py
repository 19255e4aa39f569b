"""The page in a real browser: a WAV file is its microphone, its meters and texts are read."""

import re
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Page, WebSocket, expect, sync_playwright

from agent.audio import SAMPLE_RATE
from tests.e2e.processes import PLAIN, ROOT, clean_environment
from tests.speech import silence, speech

QUESTION = "Hello there, who are you?"
INTERRUPTION = "Stop it, please. I have heard quite enough of this for one day, thank you."
LOUD = 0.02
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
# Keeps what the meters showed, 20 times a second: [seconds, person, agent].
SAMPLER = """() => {
  window.levels = [];
  const value = (id) => document.getElementById(id).value;
  setInterval(() => window.levels.push(
    [performance.now() / 1000, value("mic-level"), value("agent-level")]), 50);
}"""

ANSWERED = "() => window.levels.some(([, , agent]) => agent > 0.02)"
# For half a second the person is heard and the agent is not, after both were.
SILENCED = """() => {
  const first = window.levels.findIndex(([, mic, agent]) => mic > 0.02 && agent > 0.02);
  const after = first < 0 ? [] : window.levels.slice(first);
  return after.some((_, at) => {
    const span = after.slice(at, at + 10);
    return span.length === 10 && span.every(([, , agent]) => agent < 0.005)
      && span.some(([, mic]) => mic > 0.02);
  });
}"""

QUIET = "() => window.levels.slice(-40).every(([, mic]) => mic < 0.005)"

# What the speaker tells of as played in each step of [verb, number]. No browser drives it here: it
# plays as many blocks of 128 samples as it is told to.
COUNTED = """async (steps) => {
  let told;
  let Speaker;
  Object.assign(globalThis, {
    sampleRate: 24000,
    AudioWorkletProcessor: class {
      port = { postMessage: ({ played }) => played !== undefined && told.push(played) };
    },
    registerProcessor: (_, made) => (Speaker = made),
  });
  await import("/web/speaker.js");
  const speaker = new Speaker();
  const verbs = {
    add: (samples) => speaker.port.onmessage({ data: { pcm: new Int16Array(samples) } }),
    clear: () => speaker.port.onmessage({ data: { clear: true } }),
    play: (blocks) => {
      while (blocks--) speaker.process([], [[new Float32Array(128)]]);
    },
  };
  return steps.map(([verb, number]) => {
    told = [];
    verbs[verb](number);
    return told;
  });
}"""
# A call whose receipts are kept, and who is heard in it: uid 5, the agent, and another.
CALL = """async () => {
  const { Call } = await import("/web/call.js");
  const { Channel } = await import("/web/channel.js");
  const send = (text) => sent.push(JSON.parse(text));
  const socket = { readyState: WebSocket.OPEN, send, close() {} };
  const call = new Call("room", { onlevel() {} });
  call.agentUid = 5;
  call.channel = Object.assign(Object.create(Channel.prototype), { socket });
  Object.assign(window, { call, socket, sent: [] });
  await call.audio.open();
  await call.audio.context.resume();
  for (const uid of [6, 5]) call.audio.play(uid, new Int16Array(2400));
}"""
PLAY_AGAIN = """() => {
  call.audio.forget(5);
  call.audio.play(5, new Int16Array(2400));
}"""
END = """() => {
  const hear = () => call.audio.told(5, { played: 1 });
  for (socket.readyState of [WebSocket.CLOSING, WebSocket.CLOSED]) hear();
  socket.readyState = WebSocket.OPEN;
  call.close();
  hear();
  return sent;
}"""
# What another agent in the page's channel says of turns that were cut short.
_DONE = {"type": "response.audio_transcript.done", "transcript": "Well,", "interrupted": True}
CUT_SHORT = [
    _DONE | {"item_id": "first whole", "interrupted": False},
    _DONE | {"item_id": "first whole", "audio_end_ms": 2340},
    _DONE | {"item_id": "untold"},
    _DONE | {"item_id": "no number", "audio_end_ms": "2340"},
    {"type": "response.audio_transcript.delta", "item_id": "unheard", "delta": "Well,"},
    _DONE | {"item_id": "unheard", "transcript": "", "audio_end_ms": 0},
    _DONE | {"item_id": "last", "audio_end_ms": 60},
]
MARKERS = {
    "first whole": "interrupted after 2.3 s",
    "untold": "interrupted",
    "no number": "interrupted",
    "last": "interrupted after 0.1 s",
}
SAY = """async (events) => {
  const { split } = await import("/web/chunks.js");
  const url = new URL(`channels/${location.hash.slice(1)}?agent=1`, document.baseURI);
  url.protocol = "ws:";
  const socket = new WebSocket(url);
  await new Promise((resolve) => (socket.onmessage = resolve));
  for (const event of events) for (const packet of split(event)) socket.send(packet);
}"""


def until(page: Page, predicate: str) -> None:
    """Wait in the page for a condition, for half a minute.

    Playwright's own wait_for_function needs eval, which the page's security policy forbids.
    """
    page.evaluate(
        f"""() => new Promise((resolve, reject) => {{
          const deadline = performance.now() + 30000;
          const look = () => {{
            if (({predicate})()) resolve();
            else if (performance.now() > deadline) reject(new Error("it did not come"));
            else setTimeout(look, 50);
          }};
          look();
        }})"""
    )


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for something that is seen from here, for half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        page.wait_for_timeout(50)  # in which the page's events are taken


class Wire:
    """What a page's WebSocket carries that is about the agent's speech, in order.

    :ivar log: what it was ("audio", "clear" or "played"), and the samples received until then.
    :ivar receipts: the page's own, by their place in the log.
    :ivar uids: of those who were heard.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.receipts: dict[int, dict[str, Any]] = {}
        self.uids: set[int] = set()
        self._received = 0

    def watch(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._take)
        socket.on("framesent", self._took)

    def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.uids.add(int.from_bytes(frame[:4], "big"))
            self._received += len(frame[4:]) // 2
            self.log.append(("audio", self._received))
        elif frame.startswith("{") and orjson.loads(frame)["control"] == "clear":
            self.log.append(("clear", self._received))

    def _took(self, frame: str | bytes) -> None:
        if isinstance(frame, str) and frame.startswith("{"):
            self.receipts[len(self.log)] = orjson.loads(frame)
            self.log.append(("played", self._received))

    def counts(self, start: int = 0, end: int | None = None) -> list[int]:
        """What the receipts of a stretch of the log say."""
        stretch = range(len(self.log))[start:end]
        return [receipt["samples"] for at, receipt in self.receipts.items() if at in stretch]


@contextmanager
def a_server(*arguments: str) -> Iterator[str]:
    """The URL of a server on a free port.

    :param arguments: more of its command line.
    """
    command = [sys.executable, "-m", "server", "--port", "0", *arguments]
    environ = clean_environment() | PLAIN
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"open (http://\S+?)/? ", line)
            assert found, line + process.stderr.read()
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            print(process.stderr.read())
    assert process.returncode == 0


@pytest.fixture
def server_url() -> Iterator[str]:
    with a_server() as url:
        yield url


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """A person who asks, waits, and speaks over the answer; then is quiet for long."""
    path = tmp_path / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(silence(4) + speech(QUESTION) + silence(5))
        file.writeframes(speech(INTERRUPTION) + silence(60))
    return path


@contextmanager
def a_page(url: str, *arguments: str, **options: Any) -> Iterator[Page]:
    """The page, in a browser with these arguments and a window with these options."""
    chromium = shutil.which("chromium")
    assert chromium, "this test needs Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*BROWSER_ARGUMENTS, *arguments]
        )
        page = browser.new_page(**options)
        page.set_default_timeout(30_000)
        complaints: list[str] = []
        page.on("console", lambda message: _note(complaints, message.type, message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        yield page
        browser.close()
        assert not complaints


def _note(complaints: list[str], kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        complaints.append(text)


def test_a_person_talks_with_the_agent_on_the_page(server_url: str, microphone: Path) -> None:
    with a_page(server_url, f"--use-file-for-fake-audio-capture={microphone}%noloop") as page:
        expect(page.locator("#model")).to_contain_text("embedded", ignore_case=True)
        page.evaluate(SAMPLER)
        wire = Wire()
        page.on("websocket", wire.watch)
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")

        # The question is answered, and both sides can be read.
        until(page, ANSWERED)
        expect(page.locator('#transcript li[data-role="user"]').first).to_contain_text("speech")
        expect(page.locator('#transcript li[data-role="agent"]').first).to_contain_text("demo")

        # The person speaks over the answer, and it stops while the person is still speaking.
        until(page, SILENCED)
        settled = len(wire.log)
        cut = page.locator('#transcript li[data-role="agent"] .cut')
        expect(cut).to_have_text(re.compile(r"^interrupted after \d+\.\d s$"))
        levels: list[list[float]] = page.evaluate("window.levels")
        assert _asked_before_answered(levels)

        # Typing works beside it, when the person has said all.
        until(page, QUIET)
        page.fill("#text", "Good bye, machine")
        page.click("#send")
        agent_turns = page.locator('#transcript li[data-role="agent"]')
        expect(agent_turns.filter(has_text="Good bye, machine")).to_have_count(1)
        # And is heard: the next receipt comes.
        wait_for(page, lambda: bool(wire.counts(settled)))

        page.click("#stop")
        expect(page.locator("body")).to_have_attribute("data-state", "idle")
        agents: Any = page.evaluate("fetch('agents').then((answer) => answer.json())")
        assert agents == {"agents": []}
    _check_receipts(wire)
    _check_barge_in(wire, settled)


def _asked_before_answered(levels: list[list[float]]) -> bool:
    asked = next(at for at, mic, _ in levels if mic > LOUD)
    answered = next(at for at, _, agent in levels if agent > LOUD)
    return asked < answered


def _check_receipts(wire: Wire) -> None:
    """The agent is told what was played of it, while it is, and never more than it has said."""
    (uid,) = wire.uids
    counts = wire.counts()
    for at, receipt in wire.receipts.items():
        assert receipt == {"control": "played", "uid": uid, "samples": receipt["samples"]}
        assert type(receipt["samples"]) is int
        assert receipt["samples"] <= wire.log[at][1]
    assert counts == sorted(counts)
    # Ten times a second and more, in the time of what is played.
    assert all(count - last <= SAMPLE_RATE / 10 for last, count in pairwise([0, *counts]))


def _check_barge_in(wire: Wire, settled: int) -> None:
    """What was played when the agent was silenced is told, and stands until it speaks again.

    :param settled: where in the log the page has been silent for a while.
    """
    kinds = [kind for kind, _ in wire.log]
    clear = settled - 1 - kinds[:settled][::-1].index("clear")
    received = wire.log[clear][1]
    before, final = wire.counts(end=clear)[-1], wire.counts(clear, settled)[-1]
    assert received / 2 < before <= final
    spoken = kinds.index("audio", settled)
    assert wire.counts(settled, spoken) == []
    # What the clear dropped is not counted later either.
    later = [(at, told["samples"]) for at, told in wire.receipts.items() if at > spoken]
    assert all(final < count <= final + wire.log[at][1] - received for at, count in later)


def test_what_was_played_is_counted_to_the_sample(server_url: str) -> None:
    ring = 30 * SAMPLE_RATE
    steps = [
        (["add", 2400], []),
        (["play", 9], []),
        (["play", 1], [1280]),  # 50 ms
        (["play", 1], []),
        (["clear", 0], [128]),  # at once, and the rest never
        (["play", 99], []),
        (["clear", 0], [0]),
        (["add", 100], []),
        (["play", 12], [100]),  # at once when it is empty
        (["play", 98], []),
        (["add", ring + 2400], []),  # the oldest 2400 fall out
        (["play", ring // 128 + 100], [*[1280] * (ring // 1280), ring % 1280]),
    ]
    with a_page(server_url) as page:
        told = page.evaluate(COUNTED, [step for step, _ in steps])
        assert told == [expected for _, expected in steps]

        # Receipts are of the agent only, and of the whole call.
        page.evaluate(CALL)
        until(page, "() => sent.at(-1)?.samples === 2400")
        page.evaluate(PLAY_AGAIN)
        until(page, "() => sent.at(-1).samples === 4800")
        receipts: list[dict[str, Any]] = page.evaluate(END)
    assert {receipt["uid"] for receipt in receipts} == {5}
    counts = [receipt["samples"] for receipt in receipts]
    assert counts == sorted(counts)
    assert counts[-1] == 4800


def test_a_call_without_a_microphone_goes_on_by_typing(server_url: str, tmp_path: Path) -> None:
    with a_page(server_url, "--use-fake-ui-for-media-stream=deny") as page:
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        expect(page.locator("#notice")).to_contain_text("microphone")
        page.fill("#text", "Can you read me?")
        page.press("#text", "Enter")
        agent_turns = page.locator('#transcript li[data-role="agent"]')
        expect(agent_turns.filter(has_text="Can you read me?")).to_have_count(1)

        # An interrupted turn tells where it was cut, if that is known.
        page.evaluate(SAY, CUT_SHORT)
        for item_id, marker in MARKERS.items():
            expect(page.locator(f'[data-item-id="{item_id}"] .cut')).to_have_text(marker)
        expect(page.locator('[data-item-id="unheard"]')).to_have_count(0)


def test_a_page_that_is_loaded_again_goes_on_with_its_agent(server_url: str) -> None:
    with a_page(server_url) as page:
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        page.reload()
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        page.fill("#text", "Still there?")
        page.press("#text", "Enter")
        agent_turns = page.locator('#transcript li[data-role="agent"]')
        expect(agent_turns.filter(has_text="Still there?")).to_have_count(1)
