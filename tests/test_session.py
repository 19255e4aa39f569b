"""Whole calls on the mock clock: the real WebSocket over streams in memory."""

import time
from functools import partial
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from agent.embedded import serve_stream
from agent.errors import ChannelError, ModelLost, ModelRefused
from agent.protocol.session import TurnDetection
from agent.rtc.channel import ChannelLost, DataReceived, RecordingOver, UserLeft
from agent.session import Call, Outcome
from agent.streams.chunks import to_chunks
from agent.streams.model import open_model
from agent.streams.recorder import Tap
from agent.streams.session_config import session_of
from tests.fakes.call import OPTIONS, Running, a_call
from tests.fakes.channel import PERSON, MemoryChannel
from tests.fakes.model import memory_websocket


async def _ended(running: Running) -> Outcome:
    await running.over.wait()
    assert running.outcome is not None
    return running.outcome


async def _failed(running: Running) -> BaseException:
    await running.over.wait()
    assert running.error is not None
    return running.error


# -- playout ---------------------------------------------------------------------------------


async def test_an_answer_is_played_in_real_time_with_a_small_lead(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        began = trio.current_time()
        await call.model.answer(3000)
        await call.channel.until(lambda: call.channel.handed_ms() == 3000)
        assert call.channel.handed[0].at == began
        heard_ms = 0
        for piece in call.channel.handed:
            lead_ms = heard_ms - (piece.at - began) * 1000
            assert -0.001 <= lead_ms <= OPTIONS.playout_lead_ms
            heard_ms += len(piece.pcm) // 48
        assert call.call.downlink.underruns == 0


async def test_barge_in_is_silence_at_once_and_truncates_to_what_was_played(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        began = trio.current_time()
        await call.model.answer(5000)
        await trio.sleep_until(began + 1.234)
        handed = call.channel.handed_ms()
        await call.model.speech_started()
        await call.channel.until(lambda: call.channel.cleared)
        assert call.channel.cleared == [trio.current_time()] == [began + 1.234]
        for _ in range(10):
            await call.model.audio(100)  # ten late deltas of the same response
        await trio.sleep(10)
        assert call.channel.handed_ms() == handed
        [truncate] = call.model.of_type("conversation.item.truncate")
        assert truncate["audio_end_ms"] == 1234
        assert (truncate["item_id"], truncate["content_index"]) == ("item_1", 0)
        assert not call.model.of_type("response.cancel")  # the response was over, and VAD cancels


async def test_the_next_answer_is_played_after_a_barge_in(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.answer(5000)
        await trio.sleep(1)
        await call.model.speech_started()
        await trio.sleep(0.5)
        await call.model.speech_stopped()
        before = call.channel.handed_ms()
        await call.model.begin("resp_2", "item_2")
        await call.model.audio(500, "resp_2", "item_2")
        await call.model.audio(500, "resp_1", "item_1")  # a zombie among them
        await call.model.end_item("resp_2", "item_2")
        await call.model.end("resp_2")
        await trio.sleep(5)
        assert call.channel.handed_ms() - before == 500


async def test_speech_after_the_last_sample_interrupts_nothing(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.answer(1000)
        await trio.sleep(1.001)
        await call.model.speech_started()
        await trio.sleep(1)
        assert [event["type"] for event in call.model.got] == ["session.update"]
        assert not call.channel.cleared


async def test_nothing_heard_deletes_the_item_once_the_server_is_done_with_it(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.speech_started()  # before the first delta
        await call.model.audio(250)
        await trio.sleep(1)
        assert call.channel.handed_ms() == 0
        assert not call.model.of_type("conversation.item.delete")
        await call.model.end_item(status="incomplete")
        await call.model.end(status="cancelled")
        await trio.sleep(1)
        assert [e["item_id"] for e in call.model.of_type("conversation.item.delete")] == ["item_1"]
        assert not call.model.of_type("conversation.item.truncate")


async def test_later_items_of_a_cut_response_are_deleted(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.audio(1000)
        await call.model.end_item()
        await call.model.begin_item("resp_1", "item_2", 1)
        await call.model.audio(1000, item="item_2", index=1)
        await call.model.end_item(item="item_2", index=1)
        await call.model.end()
        await trio.sleep(0.5)
        await call.model.speech_started()
        await trio.sleep(1)
        [truncate] = call.model.of_type("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == ("item_1", 500)
        assert [e["item_id"] for e in call.model.of_type("conversation.item.delete")] == ["item_2"]


async def test_a_server_that_does_not_cancel_by_itself_is_told(autojump_clock: MockClock) -> None:
    detection = TurnDetection(type="server_vad", interrupt_response=False)
    async with a_call(evolve(OPTIONS, turn_detection=detection)) as call:
        await call.model.begin()
        await call.model.audio(1000)
        await trio.sleep(0.3)
        await call.model.speech_started()
        await trio.sleep(0.1)
        kinds = [event["type"] for event in call.model.got[1:]]
        assert kinds == ["response.cancel", "conversation.item.truncate"]
        assert call.model.got[1]["response_id"] == "resp_1"


async def test_the_program_can_interrupt(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.answer(3000)
        await trio.sleep(0.7)
        call.call.interrupt()
        assert call.channel.cleared == [trio.current_time()]
        await trio.sleep(3)
        [truncate] = call.model.of_type("conversation.item.truncate")
        assert truncate["audio_end_ms"] == 700


async def test_an_underrun_is_counted_and_not_taken_for_heard_audio(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.audio(500)
        await trio.sleep(2)  # the model stalls for a second and a half
        await call.model.audio(1000)
        await trio.sleep(0.4)
        await call.model.speech_started()
        await trio.sleep(0.1)
        assert call.call.downlink.underruns == 1
        [truncate] = call.model.of_type("conversation.item.truncate")
        assert truncate["audio_end_ms"] == 900


# -- words -----------------------------------------------------------------------------------


async def test_transcripts_of_both_sides_reach_the_channel(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.speech_started()
        await call.model.speech_stopped()
        await call.model.begin()
        await call.model.words("Good ")
        await call.model.words("day.")
        await call.model.audio(500)
        await call.model.end_item(transcript="Good day.")
        await call.model.send(
            "conversation.item.input_audio_transcription.completed",
            item_id="item_user",
            content_index=0,
            transcript="Grüß Gott 😀",
        )
        await call.model.end()
        await trio.sleep(1)
        finals = {m["type"]: m for m in call.channel.messages if "transcript" in m}
        heard = finals["conversation.item.input_audio_transcription.completed"]
        assert (heard["transcript"], heard["item_id"]) == ("Grüß Gott 😀", "item_user")
        said = finals["response.audio_transcript.done"]
        assert said["transcript"] == "Good day."
        names = {"event_id", "response_id", "item_id", "output_index", "content_index", "type"}
        assert names <= set(said)


async def test_the_transcript_of_a_cut_turn_says_what_was_heard(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.begin()
        for word in ("one ", "two ", "three ", "four "):
            await call.model.words(word)
            await call.model.audio(1000)
        await trio.sleep(1.5)
        await call.model.speech_started()
        await call.model.end_item(transcript="one two three four ", status="incomplete")
        await call.model.end(status="cancelled")
        await trio.sleep(1)
        done = [m for m in call.channel.messages if m["type"] == "response.audio_transcript.done"]
        assert [(m["transcript"], m["interrupted"]) for m in done] == [("one two ", True)]


async def test_a_typed_message_interrupts_and_is_answered(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.begin()
        await call.model.audio(2000)
        await trio.sleep(0.5)
        for chunk in to_chunks({"type": "text", "text": "stop it " * 200}, "m1"):
            call.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        await trio.sleep(0.1)
        kinds = [event["type"] for event in call.model.got[1:]]
        assert kinds == [
            "response.cancel",
            "conversation.item.truncate",
            "conversation.item.create",
        ]
        await call.model.end_item(status="incomplete")
        await call.model.end(status="cancelled")  # only now is there room for another response
        await trio.sleep(0.1)
        assert call.model.got[-1]["type"] == "response.create"
        [created] = call.model.of_type("conversation.item.create")
        assert created["item"]["content"] == [{"type": "input_text", "text": "stop it " * 200}]


async def test_a_message_typed_in_silence_is_answered(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        [chunk] = to_chunks({"type": "text", "text": "hi"}, "m1")
        call.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        await call.model.until(lambda: call.model.of_type("response.create"))
        await call.model.answer(500)
        await call.channel.until(lambda: call.channel.handed_ms() == 500)
        assert not call.model.of_type("response.cancel")


async def test_an_answer_that_was_asked_for_before_the_person_spoke_is_not_heard(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        [chunk] = to_chunks({"type": "text", "text": "hi"}, "m1")
        call.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        await call.model.until(lambda: call.model.of_type("response.create"))
        await call.model.speech_started()
        await call.model.begin()
        await call.model.audio(500)
        await call.model.until(lambda: call.model.of_type("response.cancel"))
        await trio.sleep(1)
        assert call.channel.handed_ms() == 0
        await call.model.end_item(status="incomplete")
        await call.model.end(status="cancelled")
        await call.model.speech_stopped()
        await call.model.answer(300, "resp_2", "item_2")  # to the person's turn
        await call.channel.until(lambda: call.channel.handed_ms() == 300)


async def test_a_greeting_is_asked_for_when_the_person_is_there(autojump_clock: MockClock) -> None:
    async with a_call(evolve(OPTIONS, greeting="Welcome."), person=False) as call:
        await trio.sleep(5)
        assert not call.model.of_type("response.create")
        call.channel.join()
        await trio.sleep(1)
        [create] = call.model.of_type("response.create")
        assert 'Say exactly: "Welcome."' in create["response"]["instructions"]


# -- errors ----------------------------------------------------------------------------------


async def test_unknown_and_malformed_events_end_nothing(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.send("response.telepathy.delta", thought=1)
        for rubbish in ("not json", "[]", '{"type":"response.output_audio.delta","delta":5}', "{}"):
            await call.model.raw(rubbish)
        await call.model.answer(500)
        await call.channel.until(lambda: call.channel.handed_ms() == 500)


@pytest.mark.parametrize(
    ("error", "is_fatal"),
    [
        ({"code": "insufficient_quota", "message": "You exceeded your quota"}, True),
        ({"code": "response_cancel_not_active", "message": "Cancellation failed"}, False),
        ({"code": "invalid_value", "message": "Audio content is already shorter"}, False),
        ({"code": None, "message": "The server had an error", "type": "server_error"}, False),
    ],
)
async def test_only_fatal_errors_end_the_call(
    error: dict[str, Any], is_fatal: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.model.send("error", error={"type": "invalid_request_error"} | error)
        if is_fatal:
            failure = await _failed(call)
            assert isinstance(failure, ModelRefused)
            assert error["message"] in str(failure)
        else:
            await call.model.answer(500)
            await call.channel.until(lambda: call.channel.handed_ms() == 500)


async def test_a_response_refused_for_quota_ends_the_call_with_its_words(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "No money."}
        await call.model.send(
            "response.done",
            response={
                "id": "r",
                "status": "failed",
                "status_details": {"type": "failed", "error": error},
            },
        )
        assert "No money." in str(await _failed(call))


async def test_a_create_that_loses_the_race_is_repeated_after_the_other_response(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        call.channel.tell.send_nowait(
            DataReceived(PERSON, to_chunks({"type": "text", "text": "hi"}, "m1")[0])
        )
        await call.model.until(lambda: call.model.of_type("response.create"))
        [create] = call.model.of_type("response.create")
        await call.model.begin()
        await call.model.send(
            "error",
            error={
                "type": "invalid_request_error",
                "code": "conversation_already_has_active_response",
                "message": "Conversation already has an active response",
                "event_id": create["event_id"],
            },
        )
        await call.model.end()
        await trio.sleep(0.1)
        assert len(call.model.of_type("response.create")) == 2


async def test_the_loss_of_the_model_is_told(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.close(1001, "Your session hit the maximum duration of 60 minutes.")
        failure = await _failed(call)
        assert isinstance(failure, ModelLost)
        assert "60 minutes" in str(failure)


async def test_the_loss_of_the_channel_is_told(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.channel.tell.send_nowait(ChannelLost("the relay went away"))
        failure = await _failed(call)
        assert isinstance(failure, ChannelError)
        assert "the relay went away" in str(failure)


# -- how a call ends -------------------------------------------------------------------------


async def test_nobody_comes(autojump_clock: MockClock) -> None:
    async with a_call(person=False) as call:
        began = trio.current_time()
        assert await _ended(call) == Outcome("nobody came within 30 s", 3)
        assert trio.current_time() - began == pytest.approx(30, abs=0.1)


async def test_a_person_who_returns_within_the_grace_time_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        call.channel.tell.send_nowait(UserLeft(PERSON, "quit"))
        await trio.sleep(4.9)
        call.channel.join(PERSON + 1)  # a page that was loaded again has another uid
        await trio.sleep(20)
        assert call.outcome is None
        assert call.channel.listened_to == PERSON + 1
        call.channel.tell.send_nowait(UserLeft(PERSON + 1, "quit"))
        began = trio.current_time()
        assert await _ended(call) == Outcome("the person left", 0)
        assert trio.current_time() - began == pytest.approx(5, abs=0.1)


async def test_messages_do_not_prolong_the_grace_time(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.channel.tell.send_nowait(UserLeft(PERSON, "quit"))
        for _ in range(8):
            await trio.sleep(1)
            call.channel.tell.send_nowait(DataReceived(9, "rubbish"))
        assert call.outcome == Outcome("the person left", 0)


async def test_only_the_wanted_person_is_listened_to(autojump_clock: MockClock) -> None:
    async with a_call(evolve(OPTIONS, subscribe_uid=42)) as call:
        await trio.sleep(1)
        assert call.channel.listened_to is None
        call.channel.join(42)
        await trio.sleep(1)
        assert call.channel.listened_to == 42


@pytest.mark.parametrize(
    ("limits", "after_s", "reason"),
    [
        ({"max_duration_s": 60.0}, 60, "the limit of 60 s was reached"),
        ({"idle_timeout_s": 20.0}, 20, "nothing was said for 20 s"),
    ],
)
async def test_limits(
    limits: dict[str, float], after_s: float, reason: str, autojump_clock: MockClock
) -> None:
    async with a_call(evolve(OPTIONS, **limits)) as call:  # type: ignore[arg-type]
        began = trio.current_time()
        assert await _ended(call) == Outcome(reason, 0)
        assert trio.current_time() - began == pytest.approx(after_s, abs=0.3)


@pytest.mark.parametrize(("elapsed_s", "left_s"), [(50.5, 9.5), (60, 0), (90, 0)])
async def test_the_limit_of_a_call_counts_what_was_before_a_restart(
    elapsed_s: float, left_s: float, autojump_clock: MockClock
) -> None:
    async with a_call(evolve(OPTIONS, max_duration_s=60), elapsed_s=elapsed_s) as call:
        began = trio.current_time()
        assert await _ended(call) == Outcome("the limit of 60 s was reached", 0)
        assert trio.current_time() - began == pytest.approx(left_s, abs=0.3)


async def test_a_recordings_end_waits_for_the_answer(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.channel.tell.send_nowait(RecordingOver())
        await trio.sleep(1.5)
        await call.model.begin()  # a slow answer: nothing is heard for long
        await trio.sleep(10)
        await call.model.audio(3000)
        await call.model.end_item()
        await call.model.end()
        began = trio.current_time()
        assert await _ended(call) == Outcome("the recording is over", 0)
        assert trio.current_time() - began == pytest.approx(5, abs=0.3)


# -- with the embedded model -----------------------------------------------------------------


class Loudness:
    """A speech detector for tests: any block with a loud sample is speech."""

    def probability(self, pcm: bytes) -> float:
        return 1.0 if max(pcm[1::2], default=0) not in (0, 255) else 0.0

    __call__ = probability

    def reset(self) -> None:
        pass


class Tone:
    """A voice for tests: 50 ms of one loud value for each character."""

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        await trio.lowlevel.checkpoint()
        return (5000).to_bytes(2, "little") * (1200 * len(text))


async def test_a_whole_call_with_the_embedded_model_takes_no_time(
    autojump_clock: MockClock,
) -> None:
    """The person asks, hears the answer, speaks over it, and hears it stop."""
    real = time.perf_counter()
    channel = MemoryChannel()
    serve = partial(serve_stream, voice=Tone(), vad=Loudness)
    socket = memory_websocket(serve)
    speech = (8000).to_bytes(2, "little", signed=True) * 24_000
    async with open_model(socket, session_of(OPTIONS)) as model, trio.open_nursery() as nursery:
        call = Call(OPTIONS, model, channel, tap=Tap(), chat_prefix="t")
        nursery.start_soon(call.run)
        channel.join()
        await channel.speak(bytes(24_000) + speech + bytes(48_000))
        with trio.fail_after(10):
            await channel.until(lambda: channel.handed_ms() > 1000)
        assert not channel.cleared
        await channel.speak(speech)
        assert len(channel.cleared) == 1
        handed = channel.handed_ms()
        await trio.sleep(0.1)
        assert channel.handed_ms() == handed
        await channel.speak(bytes(48_000))
        await trio.sleep(20)
        assert channel.handed_ms() > handed  # the next answer
        kinds = {message["type"] for message in channel.messages}
        assert "conversation.item.input_audio_transcription.completed" in kinds
        assert {"response.audio_transcript.delta", "response.audio_transcript.done"} <= kinds
        assert call.conversation.tally.interruptions == 1
        nursery.cancel_scope.cancel()
    assert time.perf_counter() - real < 60  # a bound against hanging, not a figure
