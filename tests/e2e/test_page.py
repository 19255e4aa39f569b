"""The page in a real browser: a WAV file is its microphone, its meters and texts are read."""

import re
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from agent.audio import SAMPLE_RATE
from tests.e2e.processes import ROOT, clean_environment
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


@pytest.fixture
def server_url() -> Iterator[str]:
    """A server on a free port."""
    command = [sys.executable, "-m", "server", "--port", "0"]
    environ = clean_environment() | {"LOG_FORMAT": "plain"}
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
def a_page(url: str, *arguments: str) -> Iterator[Page]:
    chromium = shutil.which("chromium")
    assert chromium, "this test needs Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*BROWSER_ARGUMENTS, *arguments]
        )
        page = browser.new_page()
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
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")

        # The question is answered, and both sides can be read.
        until(page, ANSWERED)
        expect(page.locator('#transcript li[data-role="user"]').first).to_contain_text("speech")
        expect(page.locator('#transcript li[data-role="agent"]').first).to_contain_text("demo")

        # The person speaks over the answer, and it stops while the person is still speaking.
        until(page, SILENCED)
        levels: list[list[float]] = page.evaluate("window.levels")
        assert _asked_before_answered(levels)

        # Typing works beside it, when the person has said all.
        until(page, QUIET)
        page.fill("#text", "Good bye, machine")
        page.click("#send")
        agent_turns = page.locator('#transcript li[data-role="agent"]')
        expect(agent_turns.filter(has_text="Good bye, machine")).to_have_count(1)

        page.click("#stop")
        expect(page.locator("body")).to_have_attribute("data-state", "idle")
        agents: Any = page.evaluate("fetch('agents').then((answer) => answer.json())")
        assert agents == {"agents": []}


def _asked_before_answered(levels: list[list[float]]) -> bool:
    asked = next(at for at, mic, _ in levels if mic > LOUD)
    answered = next(at for at, _, agent in levels if agent > LOUD)
    return asked < answered


def test_a_call_without_a_microphone_goes_on_by_typing(server_url: str, tmp_path: Path) -> None:
    with a_page(server_url, "--use-fake-ui-for-media-stream=deny") as page:
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        expect(page.locator("#notice")).to_contain_text("microphone")
        page.fill("#text", "Can you read me?")
        page.press("#text", "Enter")
        agent_turns = page.locator('#transcript li[data-role="agent"]')
        expect(agent_turns.filter(has_text="Can you read me?")).to_have_count(1)


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
