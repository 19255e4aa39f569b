"""The hard cases of interruption: whole calls with the embedded model, on the mock clock.

What the agent and the server said is read off the wire. What was heard is counted at the far end of
the channel, sample by sample, where a sample of a silenced answer fails the test at once.
"""

import logging
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.audio import SAMPLE_RATE, samples_to_ms
from agent.handle import Agent
from agent.protocol.faults import NOT_ACTIVE
from agent.protocol.session import TurnDetection
from agent.protocol.tools import RealtimeFunctionTool
from agent.streams.session_config import session_of
from agent.tools import ToolContext, tool
from tests.fakes.call import OPTIONS
from tests.fakes.embedded import (
    MS_A_CHARACTER,
    Answer,
    EmbeddedCall,
    Spoken,
    an_embedded_call,
)

CANCEL: Final = "response.cancel"
CREATE: Final = "response.create"
ITEM: Final = "conversation.item.create"
TRUNCATE: Final = "conversation.item.truncate"
DELETE: Final = "conversation.item.delete"

HEARD, CUT, UNHEARD = "heard to its end", "cut short", "not heard"

DELTA: Final = "response.output_audio.delta"
SPEECH: Final = "input_audio_buffer.speech_started"
LOSE: Final = {"effect": "lose"}
SLOW: Final = ({"sent": "response.created"}, {"effect": "delay", "seconds": 0.5})
"""From the first answer on, the agent learns of everything half a second late."""

DOES_NOT_CANCEL: Final = evolve(
    OPTIONS,
    turn_detection=TurnDetection(
        type="server_vad",
        threshold=0.5,
        prefix_padding_ms=300,
        silence_duration_ms=200,
        interrupt_response=False,
    ),
)
WEATHER: Final = RealtimeFunctionTool(
    type="function",
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "why": {"type": "string"}},
    },
)

WORDS_AHEAD_MS: Final = 1000
"""How far the words of a cut turn may be ahead of what was heard of it: the embedded model sends
them half a second before their audio, a quarter of a second at a time, and a word is not cut."""


async def check_fates(
    call: EmbeddedCall, answer: Answer, *fates: str, refused: bool = False
) -> None:
    """Each item of an answer was heard, cut short or not heard, and everybody was told just that.

    :param refused: the server did not do all that it was told.
    """
    await wait_all_tasks_blocked()
    assert len(answer.items) == len(fates)
    for item, fate in zip(answer.items, fates, strict=True):
        heard = call.channel.heard(item)
        assert fate == (UNHEARD if not heard else CUT if heard < item.samples else HEARD)
        check_correction(call, item, fate, refused=refused)
        check_words(call, item, fate)


def check_correction(call: EmbeddedCall, item: Spoken, fate: str, *, refused: bool) -> None:
    """The server was told, once, of an item that was not heard to its end, and did as told."""
    told = [e for type_ in (TRUNCATE, DELETE) for e in call.wire.sent(type_)]
    corrections = [event for event in told if event["item_id"] == item.id]
    if fate == HEARD:
        assert not corrections
        return
    [correction] = corrections
    done: dict[str, Any] = {"item_id": item.id}
    if fate == CUT:
        done |= {"content_index": 0, "audio_end_ms": samples_to_ms(call.channel.heard(item))}
    assert correction["type"] == (TRUNCATE if fate == CUT else DELETE)
    assert done.items() <= correction.items()
    taken = call.wire.came(f"{correction['type']}d")
    assert refused or any(done.items() <= event.items() for event in taken)


def check_words(call: EmbeddedCall, item: Spoken, fate: str) -> None:
    """The last that the people are told of an item's words is what was heard of them."""
    told = call.told(item)
    if fate == HEARD:
        assert [(m["transcript"], m.get("interrupted")) for m in told] == [
            (call.text_of(item), None)
        ]
        return
    about_it = [m for m in call.channel.messages if m.get("item_id") == item.id]
    if fate == CUT or about_it:
        assert about_it[-1] == told[-1]
        heard_ms = samples_to_ms(call.channel.heard(item))
        assert [m for m in told if m.get("interrupted")] == told[-1:]
        assert told[-1]["audio_end_ms"] == heard_ms
        transcript = told[-1]["transcript"]
        assert item.words.startswith(transcript)
        assert bool(transcript) == (fate == CUT)
        ahead_ms = len(transcript) * MS_A_CHARACTER - heard_ms
        assert abs(ahead_ms) <= WORDS_AHEAD_MS or fate == UNHEARD


async def go_on(call: EmbeddedCall) -> Answer:
    """The call goes on: the next answer, which has been asked for already, is heard to its end."""
    answer = await call.next_answer()
    await call.hear_all(answer)
    await check_fates(call, answer, HEARD)
    return answer


async def go_on_asking(call: EmbeddedCall) -> None:
    """The call goes on: what the person asks next is answered."""
    answer = await call.ask()
    await call.hear_all(answer)
    await check_fates(call, answer, HEARD)


# -- before, between and after ---------------------------------------------------------------


async def test_before_the_answers_first_item_there_is_nothing_to_correct(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        await call.speak(0.2)
        answer = await call.next_answer()
        at = await call.speak_over()
        assert call.wire.times("response.done")[0] == at
        assert answer.status == "cancelled"
        assert not answer.items
        await go_on(call)
        assert not call.channel.cleared
        assert call.requests() == []


async def test_before_the_first_delta_the_item_is_deleted_when_the_server_is_done_with_it(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call(thinks={1: 5}) as call:
        answer = await call.ask()
        await call.wire.until(lambda: answer.items)
        await call.speak_over()
        await go_on(call)
        await check_fates(call, answer, UNHEARD)
        assert not call.channel.cleared
        assert call.requests() == [DELETE]
        kinds = [message.event["type"] for message in call.wire.messages]
        assert kinds.index("response.output_item.done") < kinds.index(DELETE)


async def test_a_first_delta_that_comes_after_the_interruption_is_not_heard(
    autojump_clock: MockClock,
) -> None:
    late = ({"sent": DELTA, "nth": 1}, {"effect": "late", "seconds": 0.5})
    async with an_embedded_call(late) as call:
        answer = await call.ask()
        await call.wire.until(lambda: answer.items and answer.items[0].words)
        call.type_text("Stop.")
        await go_on(call)
        assert answer.items[0].samples > 0
        await check_fates(call, answer, UNHEARD)
        assert not call.channel.cleared
        assert call.requests() == [CANCEL, ITEM, DELETE, CREATE]


async def test_between_two_items_the_first_stays_and_the_second_is_deleted(
    autojump_clock: MockClock,
) -> None:
    """The first was heard to its end, and the voice still thinks about the second."""
    async with an_embedded_call(thinks={2: 10}) as call:
        call.have_said("Let me think.", "Here it is.")
        answer = await call.next_answer()
        await call.wire.until(lambda: len(answer.items) == 2)
        await call.hear(answer, answer.items[0].samples / SAMPLE_RATE)
        await call.speak_over()
        await go_on(call)
        await check_fates(call, answer, HEARD, UNHEARD)
        assert not call.channel.cleared
        assert call.requests() == [CREATE, DELETE]


async def test_at_the_very_end_of_an_item_the_next_one_is_not_heard(
    autojump_clock: MockClock,
) -> None:
    """The beginning of the second has been handed over already, ahead of its time."""
    async with an_embedded_call() as call:
        call.have_said("Let me think.", "Here it is.")
        answer = await call.next_answer()
        await call.wire.until(lambda: answer.status)
        first, second = answer.items
        await call.hear(answer, first.samples / SAMPLE_RATE)
        assert call.channel.first_handed(second) is not None
        call.call.interrupt()
        assert call.channel.cleared == [trio.current_time()]
        await check_fates(call, answer, HEARD, UNHEARD)
        assert call.requests() == [CREATE, DELETE]
        await go_on_asking(call)


async def test_after_response_done_what_is_still_played_is_cut_where_it_was_heard(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        answer = await call.ask()
        await call.wire.until(lambda: answer.status)
        await call.hear(answer, 2.2347)
        at = await call.speak_over()
        await go_on(call)
        assert call.wire.times("response.done")[0] < at
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE]
        await check_fates(call, answer, CUT)
        [truncate] = call.wire.sent(TRUNCATE)
        began = call.channel.first_handed(answer.items[0])
        assert began is not None
        assert truncate["audio_end_ms"] == int((at - began) * 1000)
        assert answer.status == "completed"


async def test_speech_that_is_told_after_the_end_of_what_it_cancels_cuts_what_is_played(
    autojump_clock: MockClock,
) -> None:
    late = ({"sent": SPEECH, "nth": 2}, {"effect": "late", "seconds": 0.05})
    async with an_embedded_call(late) as call:
        answer = await call.ask()
        await call.hear(answer, 0.3)
        at = await call.speak_over()
        await go_on(call)
        done_at = call.wire.times("response.done")[0]
        assert done_at < at
        assert answer.status == "cancelled"
        assert call.channel.cleared == [done_at]  # for the person's speech, as its end says
        assert call.requests() == [TRUNCATE]
        await check_fates(call, answer, CUT)


async def test_twice_in_a_row(autojump_clock: MockClock) -> None:
    async with an_embedded_call() as call:
        first = await call.ask()
        await call.hear(first, 0.3)
        cut_first = await call.speak_over()
        second = await call.next_answer()
        await call.hear(second, 0.05)
        cut_second = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [cut_first, cut_second]
        assert call.requests() == [TRUNCATE, TRUNCATE]
        await check_fates(call, first, CUT)
        await check_fates(call, second, CUT)
        assert (first.status, second.status) == ("cancelled", "cancelled")


async def test_whoever_interrupts_next_has_nothing_left_to_interrupt(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        answer = await call.ask()
        await call.hear(answer, 0.3)
        call.call.interrupt()
        call.call.interrupt()
        at = call.type_text("Wait.")
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CANCEL, TRUNCATE, ITEM, CREATE]
        await check_fates(call, answer, CUT)


# -- by whom ---------------------------------------------------------------------------------


async def test_a_server_that_does_not_cancel_by_itself_is_told_to(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call(options=DOES_NOT_CANCEL) as call:
        answer = await call.ask()
        await call.hear(answer, 0.3)
        at = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CANCEL, TRUNCATE]
        await check_fates(call, answer, CUT)
        check_cancelled_by_client(call, answer)


async def test_a_server_that_does_not_cancel_by_itself_is_told_nothing_when_it_is_done(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call(options=DOES_NOT_CANCEL) as call:
        answer = await call.ask()
        await call.hear(answer, 2)
        at = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE]
        await check_fates(call, answer, CUT)


def check_cancelled_by_client(call: EmbeddedCall, answer: Answer) -> None:
    """The client named the answer, and the server has cancelled it for that."""
    assert [event["response_id"] for event in call.wire.sent(CANCEL)] == [answer.id]
    done = [e["response"] for e in call.wire.came("response.done")]
    [reason] = [d["status_details"]["reason"] for d in done if d["id"] == answer.id]
    assert reason == "client_cancelled"


async def test_the_program_interrupts_an_answer_under_way(autojump_clock: MockClock) -> None:
    async with an_embedded_call() as call:
        answer = await call.ask()
        await call.hear(answer, 0.4321)
        agent = Agent()
        with agent.in_call(call.call):
            agent.interrupt()
        assert call.channel.cleared == [trio.current_time()]
        await check_fates(call, answer, CUT)
        assert samples_to_ms(call.channel.heard(answer.items[0])) == 432
        check_cancelled_by_client(call, answer)
        await go_on_asking(call)
        assert call.requests() == [CANCEL, TRUNCATE]


async def test_the_program_interrupts_an_answer_that_the_server_is_done_with(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        answer = await call.ask()
        await call.hear(answer, 2.5)
        call.call.interrupt()
        assert call.channel.cleared == [trio.current_time()]
        await check_fates(call, answer, CUT)
        await go_on_asking(call)
        assert call.requests() == [TRUNCATE]


async def test_a_typed_message_interrupts_an_answer_under_way(autojump_clock: MockClock) -> None:
    async with an_embedded_call() as call:
        answer = await call.ask()
        await call.hear(answer, 0.4321)
        at = call.type_text("Wait.")
        reply = await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CANCEL, TRUNCATE, ITEM, CREATE]
        await check_fates(call, answer, CUT)
        check_cancelled_by_client(call, answer)
        assert call.text_of(reply.items[0]) == "You wrote: Wait."


async def test_a_typed_message_interrupts_an_answer_that_the_server_is_done_with(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        answer = await call.ask()
        await call.hear(answer, 2.5)
        at = call.type_text("Wait.")
        reply = await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE, ITEM, CREATE]
        await check_fates(call, answer, CUT)
        assert call.text_of(reply.items[0]) == "You wrote: Wait."


# -- while a function is called --------------------------------------------------------------


async def test_what_is_said_ahead_of_a_function_call_is_cut_and_the_call_stays(
    autojump_clock: MockClock,
) -> None:
    async with a_call_with_weather("What is the weather in Paris?") as call:
        answer = await call.ask()
        await call.hear(answer, 0.7)
        assert (answer.status, answer.calls) == ("completed", ["get_weather"])
        at = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE]
        await check_fates(call, answer, CUT)


async def test_while_the_arguments_are_written_what_is_said_is_cut_and_the_call_is_not_touched(
    autojump_clock: MockClock,
) -> None:
    long_call = f'get_weather {{"city": "Paris", "why": "{"because " * 100}"}}'
    async with a_call_with_weather(long_call) as call:
        answer = await call.ask()
        await call.wire.until(lambda: answer.calls)
        at = await call.speak_over()
        await go_on(call)
        assert call.wire.came("response.function_call_arguments.done")
        assert answer.status == "cancelled"
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE]
        await check_fates(call, answer, CUT)


async def test_an_answer_that_only_calls_a_function_has_nothing_to_correct(
    autojump_clock: MockClock,
) -> None:
    long_call = f'get_weather {{"city": "Paris", "why": "{"because " * 100}"}}'
    async with a_call_with_weather(long_call, path="/v1/realtime?model=gpt-realtime") as call:
        answer = await call.ask()
        await call.wire.until(lambda: answer.calls)
        await call.speak_over()
        await go_on(call)
        assert answer.status == "cancelled"
        assert not call.channel.cleared
        assert call.requests() == []


@tool(on_interruption="finish", timeout_s=3600)
async def get_weather(city: str, why: str = "") -> None:
    """It is still at it when the test is over."""
    await trio.sleep_forever()


def a_call_with_weather(said: str, **rest: Any) -> AbstractAsyncContextManager[EmbeddedCall]:
    """A call whose session has a function, and in which the person says this first."""
    return an_embedded_call(
        session=evolve(session_of(OPTIONS), tools=(WEATHER,)),
        understand=lambda turn: said if turn == 1 else None,
        tools=ToolContext([get_weather]),
        **rest,
    )


# -- what crosses on the way -----------------------------------------------------------------


async def test_deltas_of_the_old_answer_among_those_of_the_new_one_are_not_heard(
    autojump_clock: MockClock,
) -> None:
    late = {"effect": "late", "seconds": 1.3}
    async with an_embedded_call(*(({"sent": DELTA, "nth": n}, late) for n in (5, 6, 7))) as call:
        old = await call.ask()
        await call.hear(old, 0.35)
        at = await call.speak_over()
        new = await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE]
        await check_fates(call, old, CUT)
        deltas = [event["response_id"] for event in call.wire.came(DELTA)]
        assert deltas[deltas.index(new.id) :].count(old.id) == 3


async def test_while_the_server_stalls_what_was_heard_is_all_that_came(
    autojump_clock: MockClock,
) -> None:
    stall = ({"sent": DELTA, "nth": 3}, {"effect": "stall", "seconds": 3.0})
    async with an_embedded_call(stall) as call:
        answer = await call.ask()
        await call.hear(answer, 0.5)
        await trio.sleep(0.1)
        at = call.type_text("Wait.")
        await go_on(call)
        # Nothing is on its way, by our clock; the person's end may lag behind it.
        assert call.channel.cleared == [at]
        assert call.requests() == [CANCEL, TRUNCATE, ITEM, CREATE]
        await check_fates(call, answer, CUT)
        assert samples_to_ms(call.channel.heard(answer.items[0])) == 500


async def test_an_item_that_was_on_its_way_when_the_person_interrupted_is_deleted(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call(SLOW) as call:
        call.have_said("Let me think about that.", "Here is " + "a very long answer, " * 20)
        answer = await call.next_answer()
        await call.hear(answer, 0.2)
        assert len(answer.items) == 1
        at = call.type_text("Wait.")
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CREATE, CANCEL, TRUNCATE, ITEM, DELETE, CREATE]
        await check_fates(call, answer, CUT, UNHEARD)
        assert answer.items[1].samples > 0


@pytest.mark.parametrize(
    ("by", "heard_s"), [("a typed message", 1.3), ("the program", 1.3), ("speech", 0.7)]
)
async def test_a_cancel_that_comes_after_the_answers_end_costs_nothing(
    by: str, heard_s: float, autojump_clock: MockClock
) -> None:
    options = DOES_NOT_CANCEL if by == "speech" else OPTIONS
    async with an_embedded_call(SLOW, options=options, errors=[NOT_ACTIVE]) as call:
        answer = await call.ask()
        await call.hear(answer, heard_s)
        at = await interrupt(call, by)
        await go_on(call) if by != "the program" else await go_on_asking(call)
        assert call.channel.cleared == [at]
        assert call.requests()[:2] == [CANCEL, TRUNCATE]
        assert call.requests()[2:] == ([ITEM, CREATE] if by == "a typed message" else [])
        await check_fates(call, answer, CUT)
        assert answer.status == "completed"


@pytest.mark.parametrize("by", ["a typed message", "the program", "speech"])
async def test_an_answer_whose_end_is_lost_is_over_when_its_cancel_is_refused(
    by: str, autojump_clock: MockClock
) -> None:
    lost = ({"sent": "response.done", "nth": 1}, LOSE)
    options = DOES_NOT_CANCEL if by == "speech" else OPTIONS
    async with an_embedded_call(lost, options=options, errors=[NOT_ACTIVE]) as call:
        answer = await call.ask()
        await call.hear(answer, 2.0)
        assert answer.status is None
        at = await interrupt(call, by)
        await go_on(call) if by != "the program" else await go_on_asking(call)
        assert call.channel.cleared == [at]
        assert call.wire.times("response.created")[1] < at + 1  # nothing has to be given up first
        assert call.requests()[:2] == [CANCEL, TRUNCATE]
        assert call.requests()[2:] == ([ITEM, CREATE] if by == "a typed message" else [])
        await check_fates(call, answer, CUT)


async def interrupt(call: EmbeddedCall, by: str) -> float:
    """Interrupt now; when the agent is told of it."""
    if by == "speech":
        return await call.speak_over()
    if by == "the program":
        call.call.interrupt()
        return trio.current_time()
    return call.type_text("Wait.")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("invalid_value", "Audio content of 3700ms is already shorter than 3760ms"),
        ("unsupported_content_type", "Only model output audio messages can be truncated"),
        ("item_truncate_invalid_item_id", "Error truncating item: it does not exist."),
    ],
)
async def test_a_truncation_that_is_refused_costs_nothing(
    code: str, message: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with an_embedded_call(*refusal(TRUNCATE, code, message), errors=[code]) as call:
        answer = await call.ask()
        await call.hear(answer, 2.0)
        at = call.type_text("Wait.")  # an answer is asked for while the refusal is on its way
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [TRUNCATE, ITEM, CREATE]
        await check_fates(call, answer, CUT, refused=True)
    check_only_noted(caplog, code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("item_delete_invalid_item_id", "Error deleting item: it does not exist."),
        ("unsupported_content_type", "Only messages can be deleted."),
    ],
)
async def test_a_deletion_that_is_refused_costs_nothing(
    code: str, message: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with an_embedded_call(*refusal(DELETE, code, message), errors=[code]) as call:
        call.have_said("Let me think.", "Here it is.")
        answer = await call.next_answer()
        await call.hear(answer, 0.9)
        assert answer.status == "completed"
        at = call.type_text("Wait.")
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CREATE, TRUNCATE, DELETE, ITEM, CREATE]
        await check_fates(call, answer, CUT, UNHEARD, refused=True)
    check_only_noted(caplog, code)


def refusal(request: str, code: str, message: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The server does not do what is asked first by events of this type, and says why."""
    error = {
        "effect": "error",
        "type": "invalid_request_error",
        "code": code,
        "message": message,
    }
    return [({"received": request}, LOSE), ({"received": request}, error)]


def check_only_noted(caplog: pytest.LogCaptureFixture, code: str) -> None:
    """The log tells of it, and is not alarmed."""
    assert [r.levelno for r in caplog.records if code in r.getMessage()] == [logging.INFO]


# -- several items ---------------------------------------------------------------------------


@pytest.mark.parametrize("cancels", [True, False])
async def test_in_the_first_of_two_items_the_second_is_deleted_though_it_is_still_written(
    cancels: bool, autojump_clock: MockClock
) -> None:
    async with an_embedded_call(options=OPTIONS if cancels else DOES_NOT_CANCEL) as call:
        call.have_said("Let me think about that.", "Here is " + "a very long answer, " * 20)
        answer = await call.next_answer()
        await call.hear(answer, 0.8)
        assert answer.status is None
        at = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [at]
        cancel = [] if cancels else [CANCEL]
        assert call.requests() == [CREATE, *cancel, TRUNCATE, DELETE]
        await check_fates(call, answer, CUT, UNHEARD)
        assert answer.items[1].samples > 0
        assert answer.status == "cancelled"


async def test_in_the_first_of_two_items_the_second_is_deleted_when_all_is_written(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        call.have_said("Let me think about that.", "Here is the answer.")
        answer = await call.next_answer()
        await call.hear(answer, 1.2)
        assert answer.status == "completed"
        at = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CREATE, TRUNCATE, DELETE]
        await check_fates(call, answer, CUT, UNHEARD)


@pytest.mark.parametrize("is_done", [False, True])
async def test_in_the_second_of_two_items_the_first_stays_whole(
    is_done: bool, autojump_clock: MockClock
) -> None:
    async with an_embedded_call() as call:
        more = "" if is_done else "a very long answer, " * 40
        call.have_said("Let me think about that.", "Here is the answer. " + more)
        answer = await call.next_answer()
        await call.hear(answer, 0.1234, item=1)
        assert (answer.status == "completed") == is_done
        at = await call.speak_over()
        await go_on(call)
        assert call.channel.cleared == [at]
        assert call.requests() == [CREATE, TRUNCATE]
        await check_fates(call, answer, HEARD, CUT)


# -- silence ---------------------------------------------------------------------------------


async def test_speech_while_the_agent_is_silent_interrupts_nothing(
    autojump_clock: MockClock,
) -> None:
    async with an_embedded_call() as call:
        for _ in range(2):  # before the first answer, and after it
            answer = await call.ask()
            await call.hear_all(answer)
            await trio.sleep(0.01)
        await check_fates(call, answer, HEARD)
        assert len(call.wire.times(SPEECH)) == 2
        assert not call.channel.cleared
        assert call.requests() == []
        assert call.call.conversation.tally.interruptions == 0


async def test_in_silence_the_program_interrupts_nothing(autojump_clock: MockClock) -> None:
    async with an_embedded_call() as call:
        await go_on_asking(call)
        call.call.interrupt()
        await go_on_asking(call)
        assert not call.channel.cleared
        assert call.requests() == []


async def test_an_answer_that_is_cancelled_before_the_speech_is_told_is_deleted(
    autojump_clock: MockClock,
) -> None:
    late = ({"sent": SPEECH, "nth": 2}, {"effect": "late", "seconds": 0.05})
    async with an_embedded_call(late, thinks={1: 5}) as call:
        answer = await call.ask()
        await call.wire.until(lambda: answer.items)
        await call.speak_over()
        await call.hear_all(await call.next_answer())
        assert call.requests() == ["conversation.item.delete"]


async def test_an_item_that_is_cancelled_before_the_speech_is_told_is_deleted(
    autojump_clock: MockClock,
) -> None:
    late = ({"sent": SPEECH, "nth": 1}, {"effect": "late", "seconds": 0.05})
    async with an_embedded_call(late, thinks={2: 10}) as call:
        call.have_said("Let me think.", "Here it is.")
        answer = await call.next_answer()
        await call.wire.until(lambda: len(answer.items) == 2)
        await call.hear(answer, answer.items[0].samples / SAMPLE_RATE)
        await call.speak_over()
        await call.hear_all(await call.next_answer())
        assert call.requests()[1:] == ["conversation.item.delete"]  # after what asked for it
