"""What interrupts and what cannot be interrupted, in whole calls on the mock clock.

The hard cases that the embedded model can bring about are in test_interruptions_embedded.py.
"""

from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from agent.audio import ms_to_bytes
from agent.protocol.response import RealtimeResponseCreateParams
from agent.rtc.channel import DataReceived
from agent.streams.chunks import to_chunks
from tests.fakes.call import OPTIONS, Running, a_call
from tests.fakes.channel import PERSON
from tests.speech import speech

LEFT_TO_CLIENT = {"create_response": False, "interrupt_response": False}
BY_THE_SERVER = {"create_response": True, "interrupt_response": True}
NOTICE = "This call is recorded."


def requests(call: Running) -> list[str]:
    """The types of what the agent sent since its session was configured."""
    return [event["type"] for event in call.model.got[1:]]


def ends(call: Running) -> dict[str, int]:
    """Where items were cut, in ms; -1: deleted."""
    return {
        event["item_id"]: event.get("audio_end_ms", -1)
        for event in call.model.got
        if event["type"] in ("conversation.item.truncate", "conversation.item.delete")
    }


def detections(call: Running) -> list[dict[str, Any]]:
    """How turns were to be found, by each update of the session."""
    updates = call.model.of_type("session.update")
    return [update["session"]["audio"]["input"]["turn_detection"] for update in updates]


def type_text(call: Running, text: str) -> None:
    [chunk] = to_chunks({"type": "text", "text": text}, f"m{len(text)}")
    call.channel.tell.send_nowait(DataReceived(PERSON, chunk))


async def begin_notice(call: Running, *, metadata: Any = None) -> None:
    """Protected speech is asked for, and begins."""
    call.call.say(NOTICE, allow_interruptions=False)
    await call.model.until(lambda: call.model.of_type("response.create"))
    [create] = call.model.of_type("response.create")
    assert NOTICE in create["response"]["instructions"]
    metadata = create["response"]["metadata"] if metadata is None else metadata
    response = {"id": "notice", "status": "in_progress", "metadata": metadata}
    await call.model.send("response.created", response=response)
    await call.model.begin_item("notice", "notice_item")


async def end_notice(call: Running) -> None:
    await call.model.end_item("notice", "notice_item")
    await call.model.end("notice")


# -- protected speech ------------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, "unknown to the server"])
async def test_nobody_but_the_program_interrupts_protected_speech(
    metadata: Any, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        began = trio.current_time()
        await begin_notice(call, metadata={} if metadata else None)
        assert requests(call)[0] == "session.update"  # before it is asked for
        await call.model.audio(3000, "notice", "notice_item")
        await trio.sleep_until(began + 1)
        await call.model.speech_started()
        await call.model.speech_stopped()
        type_text(call, "stop")
        await trio.sleep_until(began + 1.5)
        assert not call.channel.cleared
        await end_notice(call)
        await trio.sleep_until(began + 5)
        assert call.channel.handed_ms() == 3000
        assert ends(call) == {}
        # The turn and the text that came meanwhile are answered, as one.
        assert len(call.model.of_type("response.create")) == 2


async def test_the_server_acts_by_itself_again_when_protected_speech_was_heard(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        began = trio.current_time()
        await begin_notice(call)
        await call.model.audio(2000, "notice", "notice_item")
        await end_notice(call)
        await trio.sleep_until(began + 1.9)
        before, during = detections(call)
        assert during == before | LEFT_TO_CLIENT
        await trio.sleep_until(began + 2.1)
        assert detections(call)[2:] == [before | BY_THE_SERVER]
        await call.model.answer(1000)
        await trio.sleep(0.5)
        await call.model.speech_started()
        await trio.sleep(0.1)
        assert ends(call) == {"item_1": 500}


async def test_the_program_interrupts_protected_speech(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await begin_notice(call)
        await call.model.audio(3000, "notice", "notice_item")
        await trio.sleep(0.7)
        call.call.interrupt()
        assert len(call.channel.cleared) == 1
        await trio.sleep(0.1)
        assert ends(call) == {"notice_item": 700}
        assert requests(call)[-3:] == [
            "response.cancel",
            "conversation.item.truncate",
            "session.update",
        ]


async def test_what_waits_behind_protected_speech_can_be_interrupted(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        began = trio.current_time()
        await begin_notice(call)
        await call.model.audio(3000, "notice", "notice_item")
        await end_notice(call)
        await call.model.answer(2000, "resp_2", "item_2")
        await trio.sleep_until(began + 1)
        await call.model.speech_started()
        await trio.sleep_until(began + 6)
        assert not call.channel.cleared
        assert call.channel.handed_ms() == 3000
        assert ends(call) == {"item_2": -1}


async def test_the_end_of_protected_speech_survives_an_interruption_of_what_follows_it(
    autojump_clock: MockClock,
) -> None:
    """The channel holds the last of the one and the first of the other, and is cleared of both."""
    async with a_call() as call:
        began = trio.current_time()
        await begin_notice(call)
        await call.model.audio(1000, "notice", "notice_item")
        await end_notice(call)
        await call.model.answer(2000, "resp_2", "item_2")
        await trio.sleep_until(began + 0.985)
        handed = call.channel.handed_ms()
        assert handed > 1000
        await call.model.speech_started()
        await trio.sleep_until(began + 5)
        assert call.channel.cleared == [began + 0.985]
        # The rest of it again, in whole frames, from the sample on that was not heard.
        assert call.channel.handed_ms() == handed + 20
        assert ends(call) == {"item_2": -1}
        assert call.call.downlink.totals().played == 24 * 1000


async def test_a_greeting_can_be_protected(autojump_clock: MockClock) -> None:
    options = evolve(OPTIONS, greeting=NOTICE, greeting_allow_interruptions=False)
    async with a_call(options) as call:
        await trio.sleep(0.1)
        assert detections(call)[1] == detections(call)[0] | LEFT_TO_CLIENT
        [create] = call.model.of_type("response.create")
        assert create["response"]["metadata"] == {"allow_interruptions": "false"}


async def test_protected_speech_that_is_refused_protects_nothing(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        call.call.say(NOTICE, allow_interruptions=False)
        await call.model.until(lambda: call.model.of_type("response.create"))
        [create] = call.model.of_type("response.create")
        error = {"type": "server_error", "message": "no", "event_id": create["event_id"]}
        await call.model.send("error", error=error)
        await trio.sleep(0.1)
        before, _, after = detections(call)
        assert after == before | BY_THE_SERVER


async def test_without_turn_detection_there_is_nothing_to_switch_off(
    autojump_clock: MockClock,
) -> None:
    async with a_call(evolve(OPTIONS, turn_detection=None)) as call:
        await begin_notice(call)
        await call.model.audio(1000, "notice", "notice_item")
        await trio.sleep(0.3)
        type_text(call, "stop")
        await trio.sleep(0.1)
        assert not call.channel.cleared
        assert len(call.model.of_type("session.update")) == 1


# -- the least speech that interrupts ----------------------------------------------------------


async def answer_and_speak(call: Running, speech_ms: int) -> None:
    """Two seconds of answer; half a second into it the person speaks for so long."""
    await call.model.answer(2000)
    await trio.sleep(0.5)
    await call.model.send(
        "input_audio_buffer.speech_started", audio_start_ms=700, item_id="item_user"
    )
    silence_ms = 200
    await trio.sleep((speech_ms + silence_ms) / 1000)
    await call.model.send(
        "input_audio_buffer.speech_stopped",
        # With 300 ms of padding before the speech, as servers tell it.
        audio_end_ms=700 + 300 + speech_ms + silence_ms,
        item_id="item_user",
    )
    await call.model.send("input_audio_buffer.committed", item_id="item_user")


async def test_short_speech_does_not_interrupt_but_is_answered(autojump_clock: MockClock) -> None:
    async with a_call(evolve(OPTIONS, min_interruption_ms=500)) as call:
        assert LEFT_TO_CLIENT.items() <= detections(call)[0].items()
        await answer_and_speak(call, 300)
        await trio.sleep(0.1)
        assert not call.channel.cleared
        assert requests(call) == ["response.create"]
        await call.model.answer(1000, "resp_2", "item_2")
        await trio.sleep(5)
        assert call.channel.handed_ms() == 3000  # first the one, then the other


async def test_longer_speech_interrupts_when_it_has_lasted(autojump_clock: MockClock) -> None:
    async with a_call(evolve(OPTIONS, min_interruption_ms=500)) as call:
        began = trio.current_time()
        await answer_and_speak(call, 1000)
        await trio.sleep(0.1)
        # The server waits for 200 ms of silence before it says that speech has stopped.
        assert call.channel.cleared == [pytest.approx(began + 0.5 + 0.5 + 0.2)]
        assert ends(call) == {"item_1": 1200}
        assert requests(call) == ["conversation.item.truncate", "response.create"]


async def test_speech_of_just_the_least_length_interrupts(autojump_clock: MockClock) -> None:
    async with a_call(evolve(OPTIONS, min_interruption_ms=500)) as call:
        await answer_and_speak(call, 500)
        await trio.sleep(0.1)
        assert ends(call) == {"item_1": 1200}


async def test_words_have_to_be_enough(autojump_clock: MockClock) -> None:
    options = evolve(OPTIONS, min_interruption_words=2)
    heard = "conversation.item.input_audio_transcription"
    async with a_call(options) as call:
        await call.model.answer(9000)
        await trio.sleep(0.5)
        await call.model.speech_started("first")
        await call.model.send(f"{heard}.delta", item_id="first", content_index=0, delta="Mhm.")
        await call.model.speech_stopped("first")
        await call.model.send(
            f"{heard}.completed", item_id="first", content_index=0, transcript="Mhm."
        )
        await trio.sleep(0.5)
        assert not call.channel.cleared
        await call.model.speech_started("second")
        for word in ("Stop", " it", " now"):
            await trio.sleep(0.1)
            await call.model.send(f"{heard}.delta", item_id="second", content_index=0, delta=word)
        await trio.sleep(0.1)
        assert ends(call) == {"item_1": 1200}


async def test_words_that_come_after_the_turn_do_not_interrupt_its_answer(
    autojump_clock: MockClock,
) -> None:
    async with a_call(evolve(OPTIONS, min_interruption_words=2)) as call:
        await call.model.answer(9000)
        await trio.sleep(0.5)
        await call.model.speech_started()
        await call.model.speech_stopped()
        await call.model.until(lambda: call.model.of_type("response.create"))
        await call.model.answer(1000, "resp_2", "item_2")
        await trio.sleep(0.5)
        handed = call.channel.handed_ms()
        await call.model.send(
            "conversation.item.input_audio_transcription.completed",
            item_id="item_user",
            content_index=0,
            transcript="That is quite enough.",
        )
        await trio.sleep(5)
        assert ends(call) == {"item_1": 1000}
        assert call.channel.handed_ms() == handed + 1000


# -- local barge-in ----------------------------------------------------------------------------


async def test_the_agent_pauses_when_it_hears_speech_and_the_server_decides(
    autojump_clock: MockClock,
) -> None:
    words = speech("Stop, please.")
    async with a_call(evolve(OPTIONS, local_barge_in=True)) as call, trio.open_nursery() as nursery:
        await call.model.answer(9000)
        await trio.sleep(1)
        nursery.start_soon(call.channel.speak, words)
        await call.channel.until(lambda: call.channel.cleared)
        paused_at = trio.current_time()
        assert not ends(call)  # the server does not know of it yet
        await trio.sleep(0.3)
        await call.model.speech_started()
        await trio.sleep(2)
        heard_ms = round((paused_at - call.channel.handed[0].at) * 1000)
        assert heard_ms < 1500
        assert ends(call) == {"item_1": heard_ms}


async def test_the_agent_goes_on_at_the_same_sample_when_the_server_hears_nothing(
    autojump_clock: MockClock,
) -> None:
    words = speech("Stop, please.")
    async with a_call(evolve(OPTIONS, local_barge_in=True)) as call, trio.open_nursery() as nursery:
        await call.model.answer(4000)
        await trio.sleep(1)
        nursery.start_soon(call.channel.speak, words)
        await trio.sleep(9)
        [cleared_at] = call.channel.cleared
        began = call.channel.handed[0].at
        handed_ms = call.channel.handed_ms()
        unheard_ms = sum(
            len(piece.pcm) // ms_to_bytes(1)
            for piece in call.channel.handed
            if piece.at <= cleared_at
        ) - round((cleared_at - began) * 1000)
        # What the channel gave up is handed over again, in whole frames, and nothing else is.
        assert 4000 + unheard_ms <= handed_ms < 4000 + unheard_ms + 10
        resumed_at = next(piece.at for piece in call.channel.handed if piece.at > cleared_at)
        assert resumed_at == pytest.approx(cleared_at + 0.5)
        assert ends(call) == {}
        assert call.call.downlink.totals().played == 24 * 4000
        assert call.call.barge_in is not None
        assert call.call.barge_in.false_alarms == 1


async def test_a_pause_lasts_until_it_is_decided_whether_the_speech_was_enough(
    autojump_clock: MockClock,
) -> None:
    words = speech("Stop, please.")
    options = evolve(OPTIONS, local_barge_in=True, min_interruption_ms=900)
    async with a_call(options) as call, trio.open_nursery() as nursery:
        await call.model.answer(9000)
        await trio.sleep(1)
        nursery.start_soon(call.channel.speak, words)
        await call.channel.until(lambda: call.channel.cleared)
        handed = len(call.channel.handed)
        await trio.sleep(0.1)
        started = {"audio_start_ms": 0, "item_id": "item_user"}
        await call.model.send("input_audio_buffer.speech_started", **started)
        await trio.sleep(0.8)  # longer than the agent would have waited for the server
        assert len(call.channel.handed) == handed
        await call.model.send(
            "input_audio_buffer.speech_stopped", audio_end_ms=300 + 600 + 200, item_id="item_user"
        )
        decided_at = trio.current_time()
        await trio.sleep(0.1)
        assert call.channel.handed[handed].at == decided_at
        assert ends(call) == {}


async def test_protected_speech_is_not_paused(autojump_clock: MockClock) -> None:
    words = speech("Stop, please.")
    async with a_call(evolve(OPTIONS, local_barge_in=True)) as call:
        await begin_notice(call)
        await call.model.audio(3000, "notice", "notice_item")
        await trio.sleep(0.5)
        await call.channel.speak(words)
        assert not call.channel.cleared


# -- accounts ----------------------------------------------------------------------------------


async def test_a_delta_after_its_response_is_over_does_not_mute_the_agent(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.answer(500)
        await trio.sleep(1)
        await call.model.audio(250)  # it lost its way, and nothing says that it was the last
        await call.model.answer(500, "resp_2", "item_2")
        await trio.sleep(1)
        assert call.channel.handed_ms() == 1000
        totals = call.call.downlink.totals()
        assert (totals.received, totals.played, totals.discarded) == (30_000, 24_000, 6000)


async def test_what_comes_for_an_interrupted_response_is_counted_as_dropped(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.audio(1000)
        await trio.sleep(0.5)
        await call.model.speech_started()
        for _ in range(4):
            await call.model.audio(250)
        await trio.sleep(1)
        totals = call.call.downlink.totals()
        assert (totals.received, totals.played, totals.discarded) == (48_000, 12_000, 36_000)


async def test_an_answer_of_two_minutes_keeps_no_event_waiting(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        sent_at = trio.current_time()
        await call.model.begin()
        for _ in range(60):
            await call.model.audio(2000)
        await call.model.speech_started()
        await call.channel.until(lambda: call.channel.messages)
        assert trio.current_time() == sent_at
        await call.model.end_item(status="incomplete")
        await call.model.end(status="cancelled")
        await trio.sleep(1)
        assert ends(call) == {"item_1": -1}


async def test_the_end_of_a_part_may_be_lost(autojump_clock: MockClock) -> None:
    """The next part waits for it no longer than until the item is done."""
    async with a_call() as call:
        await call.model.begin()
        await call.model.audio(505)
        await call.model.send(
            "response.output_item.done",
            response_id="resp_1",
            output_index=0,
            item={"type": "message", "role": "assistant", "content": [], "id": "item_1"},
        )
        await call.model.begin_item("resp_1", "item_2", 1)
        await call.model.audio(500, item="item_2", index=1)
        await trio.sleep(2)
        assert call.channel.handed_ms() == 510 + 500


async def test_a_response_beside_the_conversation_whose_end_is_lost_mutes_nobody(
    autojump_clock: MockClock,
) -> None:
    beside = RealtimeResponseCreateParams(conversation="none")
    async with a_call() as call:
        call.call._perform(call.call.conversation.request_response(beside))
        response = {"id": "resp_1", "status": "in_progress", "conversation_id": None}
        await call.model.send("response.created", response=response)
        await call.model.audio(500)
        await trio.sleep(60)  # and nothing more of it
        await call.model.answer(1000, "resp_2", "item_2")
        await trio.sleep(2)
        assert call.channel.handed_ms() == 1500


async def test_the_words_of_a_cut_turn_go_with_the_audio_that_they_came_with(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.words("One two three four ")
        await call.model.audio(1000)
        await call.model.words("five six")
        await call.model.audio(1000)
        await trio.sleep(0.6)
        await call.model.speech_started()
        await trio.sleep(1)
        done = [m for m in call.channel.messages if m["type"] == "response.audio_transcript.done"]
        assert [(m["transcript"], m["audio_end_ms"]) for m in done] == [("One two three ", 600)]
