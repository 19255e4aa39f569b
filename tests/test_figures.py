"""What an agent measures and counts of its own call, and what it tells of it."""

import logging
from typing import Any

import pytest
import trio
from attrs import evolve, fields_dict
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import agent.run
from agent.audio import ms_to_bytes
from agent.config import Settings
from agent.errors import AgentError
from agent.figures import Figures
from agent.handle import Agent
from agent.latency import Latencies
from agent.options import AgentOptions
from agent.rtc.channel import DataReceived
from agent.run import Recording, run_agent
from agent.streams.chunks import to_chunks
from tests.fakes.call import OPTIONS, Running, a_call
from tests.fakes.channel import PERSON, MemoryChannel
from tests.fakes.model import ScriptedModel, memory_websocket

FIGURES = st.builds(
    Figures, **dict.fromkeys(fields_dict(Figures), st.integers(min_value=0, max_value=1000))
)


def told(running: Running, type_: str) -> list[dict[str, Any]]:
    return [event for event in running.events if event["type"] == type_]


# -- turns -----------------------------------------------------------------------------------------


async def test_a_turn_takes_from_the_end_of_speech_to_the_first_frame(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.speech_started()
        await trio.sleep(2)
        await call.model.send("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="i")
        await trio.sleep(0.15)
        await call.model.send("input_audio_buffer.committed", item_id="i")
        await trio.sleep(0.1)
        await call.model.begin()
        await trio.sleep(0.5)
        await call.model.audio(1000)
        await trio.sleep(0.5)
        await call.model.audio(1000)
        await trio.sleep(5)
        assert told(call, "turn") == [{"type": "turn", "latency_ms": 750.0}]


async def test_a_typed_message_is_a_turn(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        for chunk in to_chunks({"type": "text", "text": "Hello."}, "m"):
            call.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        await trio.sleep(0.3)
        await call.model.answer(500)
        await trio.sleep(2)
        assert told(call, "turn") == [{"type": "turn", "latency_ms": 300.0}]


async def test_a_server_that_tells_only_of_the_commit_ends_the_turn_with_it(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.send("input_audio_buffer.committed", item_id="item_user")
        await trio.sleep(0.3)
        await call.model.answer(500)
        await trio.sleep(2)
        assert told(call, "turn") == [{"type": "turn", "latency_ms": 300.0}]


async def test_speech_of_the_agents_that_answers_no_turn_has_no_latency(
    autojump_clock: MockClock,
) -> None:
    options = evolve(OPTIONS, min_interruption_ms=5000)
    async with a_call(options) as call:
        await call.model.answer(2000)  # nobody had said anything
        await trio.sleep(0.5)
        await call.model.speech_started()  # too short to interrupt
        await trio.sleep(0.1)
        await call.model.speech_stopped()
        await trio.sleep(3)
        assert told(call, "turn") == []
        await call.model.answer(500, "resp_2", "item_2")
        await trio.sleep(1)
        assert told(call, "turn") == [{"type": "turn", "latency_ms": 3000.0}]


async def test_a_turn_that_the_person_goes_on_with_counts_from_its_real_end(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.model.speech_stopped()
        await call.model.begin()
        await trio.sleep(0.2)
        await call.model.speech_started()
        await call.model.audio(100)  # of the answer that nobody wants any more
        await trio.sleep(1)
        await call.model.speech_stopped()
        await trio.sleep(0.4)
        await call.model.answer(500, "resp_2", "item_2")
        await trio.sleep(1)
        assert told(call, "turn") == [{"type": "turn", "latency_ms": 400.0}]


async def test_an_answer_into_which_the_person_speaks_on_has_no_latency(
    autojump_clock: MockClock,
) -> None:
    async with a_call(evolve(OPTIONS, min_interruption_ms=5000)) as call:
        await call.model.speech_stopped()
        await call.model.begin()
        await call.model.speech_started()  # not enough to interrupt, yet
        await call.model.audio(500)
        await trio.sleep(1)
        assert call.channel.handed_ms() == 500
        assert told(call, "turn") == []


# -- barge-ins -------------------------------------------------------------------------------------


async def test_each_barge_in_is_told_once_with_its_cause(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.model.answer(3000)
        await trio.sleep(1)
        await call.model.speech_started()
        await trio.sleep(1)
        assert told(call, "barge_in") == [
            {"type": "barge_in", "latency_ms": 0.0, "cause": "speech"}
        ]
        await call.model.speech_started()  # over nothing
        await call.model.answer(3000, "resp_2", "item_2")
        await trio.sleep(1)
        call.call.interrupt()  # the program's own doing
        await trio.sleep(1)
        assert len(told(call, "barge_in")) == 1


async def test_speech_that_has_to_last_interrupts_when_it_has_lasted(
    autojump_clock: MockClock,
) -> None:
    async with a_call(evolve(OPTIONS, min_interruption_ms=400)) as call:
        await call.model.answer(5000)
        await trio.sleep(1)
        await call.model.speech_started()
        await trio.sleep(2)
        assert [event["latency_ms"] for event in told(call, "barge_in")] == [0.0]


class SlowChannel(MemoryChannel):
    """Clearing it takes 30 ms of the test's clock."""

    def __init__(self, clock: MockClock) -> None:
        super().__init__()
        self._clock = clock

    def clear(self) -> None:
        super().clear()
        self._clock.jump(0.03)


async def test_a_barge_in_takes_until_the_channel_is_cleared(autojump_clock: MockClock) -> None:
    async with a_call(channel=SlowChannel(autojump_clock)) as call:
        await call.model.answer(3000)
        await trio.sleep(1)
        await call.model.speech_started()
        await trio.sleep(1)
        [event] = told(call, "barge_in")
        assert event["latency_ms"] == pytest.approx(30)


def test_only_the_latest_responses_are_waited_for() -> None:
    latencies = Latencies()
    latencies.turn_ended(1.0)
    for number in range(1000):
        latencies.response_began(f"r{number}")
    assert latencies.first_frame("r0", 2.0) is None
    assert latencies.first_frame("r999", 2.5) == 1.5
    assert latencies.first_frame("r999", 3.0) is None


# -- figures ---------------------------------------------------------------------------------------


async def test_figures_are_told_every_few_seconds_and_grow(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await trio.sleep(5.5)
        [first] = told(call, "metrics")
        assert Figures.read(first) == Figures(longest_audio_queue=0)
        await call.model.raw("this is no JSON")
        await call.model.speech_stopped()
        await call.model.begin()
        await call.model.audio(1000)
        usage = {"total_tokens": 12, "input_tokens": 7, "output_tokens": 5}
        await call.model.send(
            "response.done", response={"id": "resp_1", "status": "completed", "usage": usage}
        )
        await trio.sleep(0.5)
        await call.model.speech_started()
        await trio.sleep(5)
        [_, second] = told(call, "metrics")
        figures = Figures.read(second)
        assert evolve(figures, longest_data_queue=0) == Figures(
            turns=1,
            answers=1,
            interruptions=1,
            tokens=12,
            input_tokens=7,
            output_tokens=5,
            malformed_events=1,
        )
        await trio.sleep(5)
        assert len(told(call, "metrics")) == 3


@given(FIGURES, FIGURES)
def test_growth_and_sum_are_each_others_ways_back(one: Figures, other: Figures) -> None:
    assert Figures.read(one.event()) == one
    longest = {name: max(getattr(one, name), getattr(other, name)) for name in LONGEST}
    assert one.after(other).since(other) == evolve(one, **longest)


LONGEST = ("longest_audio_queue", "longest_data_queue")


@pytest.mark.parametrize("type_", ["metrics", "call_record", "state", "turn"])
async def test_a_tool_cannot_pass_its_words_off_as_the_agents_own(type_: str) -> None:
    async with a_call() as call:
        report = call.call._run_context().report
        with pytest.raises(ValueError, match=f"not be of the type {type_}"):
            report({"type": type_})
        report({"type": "order"})
        assert [event["type"] for event in call.events] == ["order"]


# -- the record ------------------------------------------------------------------------------------


class Recorded:
    """An agent's run with a recording as its person, and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.agent = ScriptedModel(), Agent()
        self.events: list[dict[str, Any]] = []
        self.error: AgentError | None = None
        monkeypatch.setattr(agent.run, "dial", lambda _: memory_websocket(self.model.serve))

    async def run(self) -> None:
        try:
            await run_agent(
                Settings(openai_api_key="sk-x"),
                AgentOptions(channel_name="demo", metadata={"order": "7"}),
                recording=Recording(bytes(ms_to_bytes(20_000)), None),
                agent=self.agent,
                call_id="c1",
                on_event=self.events.append,
            )
        except AgentError as error:
            self.error = error

    def record(self) -> dict[str, Any]:
        """The only one, and the last that was told."""
        [record] = [event for event in self.events if event["type"] == "call_record"]
        assert self.events[-1] is record
        assert self.events[-2]["type"] == "metrics"
        return record


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return Recorded(monkeypatch)


async def test_a_call_that_ends_as_meant_has_one_record(
    recorded: Recorded, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.run")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorded.run)
        await trio.sleep(1)
        await recorded.model.speech_stopped()
        await recorded.model.answer(1000)
    record = recorded.record()
    started, ended = record.pop("started_at"), record.pop("ended_at")
    assert started > 1.7e9
    assert ended - started == pytest.approx(record["duration_s"], abs=0.002)
    assert record.pop("duration_s") == pytest.approx(22, abs=0.3)
    assert record == {
        "type": "call_record",
        "call_id": "c1",
        "channel_name": "demo",
        "model": "gpt-realtime-2.1",
        "embedded": False,
        "metadata": {"order": "7"},
        "reason": "the recording is over",
        "exit_status": 0,
        "turns": 1,
        "answers": 1,
        "interruptions": 0,
        "tool_calls": 0,
        "tokens": {"total": 10, "input": 0, "output": 0},
        "audio_dropped": 0,
        "data_dropped": 0,
        "malformed_events": 0,
        "underruns": 0,
    }
    assert "call over: the recording is over; 22." in caplog.text
    assert "1 turns, 1 answers, 0 interruptions" in caplog.text


async def test_a_call_that_is_stopped_has_one_record(
    recorded: Recorded, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorded.run)
        await trio.sleep(3)
        recorded.agent.stop("enough")
    record = recorded.record()
    assert (record["reason"], record["exit_status"], record["duration_s"]) == ("enough", 0, 3.0)


async def test_a_call_that_fails_has_one_record(
    recorded: Recorded, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorded.run)
        await trio.sleep(3)
        await recorded.model.close(1011, "oops")
    record = recorded.record()
    assert record["reason"] == str(recorded.error)
    assert "oops" in record["reason"]
    assert record["exit_status"] == 1
