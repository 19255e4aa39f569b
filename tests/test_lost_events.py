"""Events of the model's that are lost, late or said twice: no call is silent for ever."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.options import AgentOptions
from agent.rtc.channel import DataReceived, RecordingOver
from agent.session import CALLS_OVERDUE_S, OVERDUE_S, QUIET_S, TURN_OVERDUE_S
from agent.streams.chunks import to_chunks
from tests.fakes.call import Running, a_call


async def typed(call: Running, text: str = "hello") -> None:
    """The person types a line."""
    [chunk] = to_chunks({"type": "text", "text": text}, text)
    call.channel.tell.send_nowait(DataReceived(7, chunk))
    await wait_all_tasks_blocked()


def creates(call: Running) -> int:
    """How many responses have been asked for."""
    return len(call.model.of_type("response.create"))


async def test_a_response_whose_end_is_lost_keeps_no_typed_line_waiting(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.audio(500)
        await trio.sleep(1)
        await typed(call)
        assert creates(call) == 0  # the server may still be at the first
        await trio.sleep(OVERDUE_S + 2)
        assert creates(call) == 1


async def test_a_request_that_nothing_answers_keeps_no_other_waiting(
    autojump_clock: MockClock,
) -> None:
    async with a_call(AgentOptions(channel_name="demo", greeting="Hello.")) as call:
        assert creates(call) == 1
        await typed(call)
        assert creates(call) == 1
        await trio.sleep(OVERDUE_S + 2)
        assert creates(call) == 2


async def test_an_answer_that_goes_on_is_not_given_up(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.begin()
        await typed(call)
        for _ in range(6):
            await trio.sleep(OVERDUE_S - 2)
            await call.model.words("word ")
        assert creates(call) == 0


async def test_a_turn_whose_end_is_lost_keeps_no_request_waiting(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.speech_started()
        await wait_all_tasks_blocked()
        await typed(call)
        await trio.sleep(OVERDUE_S + 2)
        assert creates(call) == 0  # people may speak for so long
        await trio.sleep(TURN_OVERDUE_S)
        assert creates(call) == 1


async def test_a_recordings_call_ends_though_the_end_of_its_answer_is_lost(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        call.channel.tell.send_nowait(RecordingOver())
        await trio.sleep(OVERDUE_S + QUIET_S + 3)
        assert call.outcome is not None


async def test_a_call_that_the_models_server_runs_is_waited_for_but_not_for_ever(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        item = {"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "f"}
        place = {"response_id": "resp_1", "output_index": 1}
        added = place | {"item": item | {"arguments": ""}}
        await call.model.send("response.output_item.added", **added)
        await call.model.end()
        call.channel.tell.send_nowait(RecordingOver())
        await trio.sleep(CALLS_OVERDUE_S - 10)
        assert call.outcome is None
        await call.model.send("response.mcp_call.in_progress", output_index=1, item_id="mcp_1")
        await trio.sleep(CALLS_OVERDUE_S - 10)
        assert call.outcome is None
        await trio.sleep(10 + QUIET_S + 3)
        assert call.outcome is not None


async def test_a_copy_of_a_beginning_that_comes_late_begins_nothing(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.answer(100)
        await trio.sleep(1)
        await call.model.send("response.created", response={"id": "resp_1"})
        await typed(call)
        assert creates(call) == 1


async def test_speech_that_names_no_item_is_still_a_barge_in(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.answer(5000)
        await trio.sleep(1)
        await call.model.send("input_audio_buffer.speech_started", item_id=None)
        await trio.sleep(0.01)
        assert len(call.channel.cleared) == 1
        assert not call.call.downlink.playing
