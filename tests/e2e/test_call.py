"""A call as a client of the server has it: real processes, real sockets, real speech."""

import os
import signal

import trio

from tests.e2e.processes import Person, joined, running_server
from tests.speech import speech

HEARD = "conversation.item.input_audio_transcription.completed"
AGENT_JOINED = {"control": "joined", "uid": 9, "agent": True}
SAID = "response.audio_transcript.done"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def left(person: Person) -> set[tuple[str, int]]:
    return {(c["control"], c["uid"]) for c in person.controls if c["control"] == "left"}


async def test_a_person_asks_hears_interrupts_and_hangs_up() -> None:
    async with running_server() as server, joined(server, "a call", 7) as person:
        status, answer = await server.post("/start_agent", {"channel_name": "a call", "uid": 9})
        assert (status, answer["status"]) == (200, "Agent started!"), server.output
        await person.until(lambda: AGENT_JOINED in person.controls)
        pid = answer["pid"]
        assert is_alive(pid)

        person.say(speech("Hello, who are you?"))
        await person.until(lambda: person.speech_s() > 1.5)
        assert any(message["type"] == HEARD for message in person.messages)

        person.say(speech("Stop, please. That is quite enough for today."))
        await person.until(lambda: any(c["control"] == "clear" for c in person.controls))
        await person.until(lambda: any(m.get("interrupted") for m in person.messages))
        before = len(person.heard)
        await trio.sleep(0.5)  # while the person is still speaking
        assert len(person.heard) == before, "the agent went on after it had been interrupted"

        # The next answer comes when the person has finished.
        await person.until(lambda: len(person.heard) > before + 10)
        await person.write("Thank you.")
        await person.until(lambda: "Thank you." in person.said_by(SAID))

        status, answer = await server.post("/stop_agent", {"channel_name": "a call"})
        assert (status, answer["channel_name"]) == (200, "a call")
        assert answer["status"] == "Agent process terminated"
        assert (await server.get("/agents"))[1] == {"agents": []}
        assert not is_alive(pid)
        await person.until(lambda: {("left", 9)} <= left(person))
        async with joined(server, "a call", 8) as other:
            await other.until(lambda: other.controls)
            assert other.controls[0]["uids"] == [7]
        status, _ = await server.post("/stop_agent", {"channel_name": "a call"})
        assert status == 404


async def test_an_agent_whose_person_leaves_ends_by_itself() -> None:
    async with running_server() as server:
        async with joined(server, "short", 7) as person:
            body = {"channel_name": "short", "uid": 9, "user_rejoin_grace_s": 0}
            status, answer = await server.post("/start_agent", body)
            assert status == 200, server.output
            await person.until(lambda: AGENT_JOINED in person.controls)
        with trio.fail_after(20):
            while (await server.get("/agents"))[1]["agents"]:
                pass
        assert not is_alive(answer["pid"])
        assert any("the person left" in line for line in server.output), server.output


async def test_a_killed_server_leaves_no_agent() -> None:
    async with running_server(exit_status=-signal.SIGKILL) as server:
        status, answer = await server.post("/start_agent", {"channel_name": "orphan", "uid": 9})
        assert status == 200, server.output
        child = os.pidfd_open(answer["pid"])
        try:
            server.process.kill()
            with trio.fail_after(10):
                await trio.lowlevel.wait_readable(child)  # it has ended
        finally:
            os.close(child)


async def test_a_server_that_stops_takes_its_agents_with_it() -> None:
    async with running_server() as server:
        status, answer = await server.post("/start_agent", {"channel_name": "demo", "uid": 9})
        assert status == 200, server.output
    assert not is_alive(answer["pid"])
    assert any("call over: stopped by SIGTERM" in line for line in server.output), server.output
