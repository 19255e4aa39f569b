"""Tools as the people of a call have them: real processes, real speech, and a real browser."""

import subprocess
import sys
from pathlib import Path

import orjson
import trio
from playwright.sync_api import expect

from tests.e2e.processes import (
    ROOT,
    Person,
    ServerProcess,
    clean_environment,
    joined,
    running_server,
)
from tests.e2e.test_dialects import write_wav
from tests.e2e.test_page import a_page, a_server
from tests.speech import silence, speech

HEARD = "conversation.item.input_audio_transcription.completed"
QUESTION = "What is the weather in Paris?"
ANSWERED = 'get_weather answered: {"city":"Paris","degrees":18,"unit":"celsius"}'
UNANSWERED = "cannot understand words"
WEATHER = ("--tools", "examples.weather:get_weather")
ACCENT = "getComputedStyle(document.getElementById('send')).backgroundColor"
ZONE = "Pacific/Auckland"
"""Not where a machine that runs this is likely to be: only the page can know it."""


def test_the_page_answers_tool_calls() -> None:
    with (
        a_server("--tools", "examples.client_tools:tools") as url,
        a_page(url, "--use-fake-ui-for-media-stream=deny", timezone_id=ZONE) as page,
    ):
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        page.fill("#text", "What is the page time? Set the page colour to rebeccapurple.")
        page.press("#text", "Enter")
        used = ["the agent used get_page_time", "the agent used set_page_colour"]
        expect(page.locator('#transcript li[data-role="tool"]')).to_have_text(used)
        assert page.evaluate(ACCENT) == "rgb(102, 51, 153)"
        agent = page.locator('#transcript li[data-role="agent"]')
        expect(agent).to_contain_text(f'"time_zone":"{ZONE}"', timeout=30_000)
        expect(agent).to_contain_text('set_page_colour answered: {"colour":"#663399"}')


def read(person: Person) -> str:
    """What the agent said, as far as it can be read."""
    spoken = [m for m in person.messages if m["type"] == "response.audio_transcript.delta"]
    return "".join(message["delta"] for message in spoken)


def calls(server: ServerProcess, channel: str) -> int:
    return sum(f"[{channel}] calling get_weather" in line for line in server.output)


async def test_a_spoken_request_ends_in_a_tool_call_and_a_spoken_answer(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text(f"{QUESTION}\n")
    async with (
        running_server(*WEATHER, EMBEDDED_SCRIPT=str(script)) as server,
        joined(server, "spoken", 7) as person,
    ):
        # Without `tools` it has all that there are.
        status, _ = await server.post("/start_agent", {"channel_name": "spoken", "uid": 9})
        assert status == 200, server.output
        person.say(speech(QUESTION))
        await person.until(lambda: ANSWERED in read(person))
        assert person.said_by(HEARD) == QUESTION
        assert any("somebody asks for Paris" in line for line in server.output), server.output
        assert calls(server, "spoken") == 1
        await person.until(lambda: person.speech_s() > 1)


async def _ask(server: ServerProcess, channel: str, tools: list[str], answer: str) -> None:
    async with joined(server, channel, 7) as person:
        body = {"channel_name": channel, "uid": 9, "tools": tools}
        status, _ = await server.post("/start_agent", body)
        assert status == 200, server.output
        await person.write(QUESTION)
        await person.until(lambda: answer in read(person))


async def test_a_request_names_tools_out_of_the_operator_s() -> None:
    async with running_server(*WEATHER) as server:
        status, refusal = await server.post(
            "/start_agent", {"channel_name": "room", "uid": 9, "tools": ["get_weather", "os.exec"]}
        )
        assert (status, refusal["error"]) == (400, "Invalid request data")
        message = "there is no tool os.exec; there are: get_weather"
        assert refusal["details"] == [{"path": "tools", "message": message}]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask, server, "one", ["get_weather"], ANSWERED)
            nursery.start_soon(_ask, server, "none", [], UNANSWERED)
        assert (calls(server, "one"), calls(server, "none")) == (1, 0), server.output


def test_an_mcp_server_s_tool_is_called_and_its_process_ends_with_the_call(tmp_path: Path) -> None:
    question, script = tmp_path / "question.wav", tmp_path / "script.txt"
    write_wav(question, speech("Read the shopping list.") + silence(0.5))
    script.write_text("Read the shopping list.\n")
    config = {"command": sys.executable, "args": [str(ROOT / "examples/mcp_agent/server.py")]}
    mcp = tmp_path / "mcp.json"
    mcp.write_bytes(orjson.dumps({"mcpServers": {"shopping": config}}))
    command = [sys.executable, "-m", "agent", "--max-output-tokens", "60"]
    done = subprocess.run(
        [*command, "--wav-in", str(question), "--mcp", str(mcp)],
        env=clean_environment() | {"EMBEDDED_SCRIPT": str(script), "LOG_LEVEL": "debug"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = [line for line in done.stderr.splitlines() if '"function_call_output"' in line]
    sent = [line for line in outputs if "->" in line]
    assert len(sent) == 1
    assert '\\"error\\"' not in sent[0]
    assert "calling read_shopping_list" in done.stderr
