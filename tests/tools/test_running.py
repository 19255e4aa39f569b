"""Calls while they run: each is reported once, whatever becomes of it and whoever interrupts."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.protocol.actions import CallTool
from agent.tools import RunContext, ToolContext, tool
from agent.tools.client import ClientCalls
from agent.tools.context import AnyTool
from agent.tools.declaring import OnInterruption
from agent.tools.outputs import MAX_OUTPUT
from agent.tools.running import PARALLEL, QUEUE, ToolRunner

CANCELLED = {"error": "cancelled: the person interrupted"}


@define
class Report:
    """What a runner told of a call, and when."""

    output: Any
    wants_answer: bool
    at: float


@define
class Running:
    """A runner and what it told."""

    runner: ToolRunner
    reports: dict[str, Report] = field(factory=dict)
    over: trio.Event = field(factory=trio.Event)
    changed: trio.Event = field(factory=trio.Event)

    def call(self, name: str, call_id: str = "c", **arguments: Any) -> None:
        self.runner.start(CallTool(call_id, "r", name, orjson.dumps(arguments).decode()))

    def interrupt(self, *call_ids: str) -> None:
        self.runner.interrupt(frozenset(call_ids or {"c"}))

    def take(self, call_id: str, output: str, *, wants_answer: bool) -> None:
        assert call_id not in self.reports, "told of twice"
        self.reports[call_id] = Report(orjson.loads(output), wants_answer, trio.current_time())
        self.changed.set()

    async def report(self, call_id: str = "c") -> Report:
        while call_id not in self.reports:
            self.changed = trio.Event()
            await self.changed.wait()
        return self.reports[call_id]


@asynccontextmanager
async def a_runner(
    *tools: AnyTool, context: RunContext | None = None, fail_after: float = 100
) -> AsyncIterator[Running]:
    """A runner of these tools; at its end all of its calls are cancelled."""

    def finished(call_id: str, output: str, *, wants_answer: bool) -> None:
        running.take(call_id, output, wants_answer=wants_answer)

    given = context or RunContext(uid=7)
    runner = ToolRunner(ToolContext(tools), ClientCalls(lambda _: None), lambda: given, finished)
    running = Running(runner)
    with trio.fail_after(fail_after):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_run, running)
            yield running
            nursery.cancel_scope.cancel()


async def _run(running: Running) -> None:
    try:
        await running.runner.run()
    finally:
        running.over.set()


@define
class Slow:
    """A tool that takes its time; who is in it and who was cancelled is counted."""

    seconds: float = 5
    inside: int = 0
    most: int = 0
    ended: int = 0
    cancelled: int = 0

    def declared(self, policy: OnInterruption = "cancel", **options: Any) -> AnyTool:
        return tool(self.slow, on_interruption=policy, **options)

    async def slow(self) -> str:
        """Take some time."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await trio.sleep(self.seconds)
            self.ended += 1
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1
        return "done"


# Results and faults.


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
async def broken() -> None:
    """Raise."""
    raise LookupError("no such thing")


async def test_a_result_is_reported(autojump_clock: MockClock) -> None:
    async with a_runner(add) as running:
        running.call("add", a=1, b=2)
        report = await running.report()
        assert (report.output, report.wants_answer) == (3, True)


async def test_a_tool_that_wants_no_answer_says_so(autojump_clock: MockClock) -> None:
    async with a_runner(tool(add.fn, responds=False)) as running:
        running.call("add", a=1, b=2)
        assert not (await running.report()).wants_answer


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("broken", {}, "LookupError: no such thing"),
        ("add", {"a": "x"}, "b"),
        ("nobody", {}, "there is no tool nobody; there are: add, broken"),
    ],
)
async def test_what_goes_wrong_is_reported_and_answered(
    name: str, arguments: dict[str, Any], words: str, autojump_clock: MockClock
) -> None:
    async with a_runner(add, broken) as running:
        running.call(name, **arguments)
        report = await running.report()
        assert words in report.output["error"]
        assert report.wants_answer
        running.call("add", "next", a=1, b=2)
        assert (await running.report("next")).output == 3


async def test_arguments_that_are_no_json_are_reported(autojump_clock: MockClock) -> None:
    async with a_runner(add) as running:
        running.runner.start(CallTool("c", "r", "add", '{"a": 1, "b'))
        assert (await running.report()).output.keys() == {"error"}


async def test_a_result_that_is_too_large_is_reported_as_such(autojump_clock: MockClock) -> None:
    @tool
    async def much() -> str:
        """Say much."""
        return "x" * MAX_OUTPUT

    async with a_runner(much) as running:
        running.call("much")
        assert f"{MAX_OUTPUT + 2} bytes" in (await running.report()).output["error"]


async def test_a_tool_that_takes_too_long_is_cancelled_and_reported(
    autojump_clock: MockClock,
) -> None:
    slow = Slow()
    async with a_runner(slow.declared(timeout_s=2)) as running:
        began = trio.current_time()
        running.call("slow")
        report = await running.report()
        assert report.output == {"error": "it timed out after 2 s"}
        assert report.at == pytest.approx(began + 2, abs=0.01)
        assert report.wants_answer
        assert slow.cancelled == 1


async def test_a_tool_knows_its_call(autojump_clock: MockClock) -> None:
    found: list[RunContext] = []

    @tool
    async def look(run: RunContext) -> None:
        """Look."""
        found.append(run)

    async with a_runner(look, context=RunContext(channel_name="demo", uid=7)) as running:
        running.call("look", "call_1")
        await running.report("call_1")
        [run] = found
        assert (run.call_id, run.tool, run.channel_name, run.uid) == ("call_1", "look", "demo", 7)


# Interruptions.


async def test_cancel_ends_the_call_at_once(autojump_clock: MockClock) -> None:
    slow = Slow()
    async with a_runner(slow.declared("cancel")) as running:
        running.call("slow")
        await trio.sleep(1)
        running.interrupt()
        assert running.reports["c"].output == CANCELLED  # without waiting for the tool
        assert not running.reports["c"].wants_answer
        await trio.sleep(10)
        assert (slow.cancelled, slow.ended, slow.inside) == (1, 0, 0)


async def test_finish_lets_the_call_go_on_and_wants_no_answer(autojump_clock: MockClock) -> None:
    slow = Slow()
    async with a_runner(slow.declared("finish")) as running:
        running.call("slow")
        await trio.sleep(1)
        running.interrupt()
        running.interrupt()
        assert not running.reports
        report = await running.report()
        assert (report.output, report.wants_answer) == ("done", False)
        assert (slow.cancelled, slow.ended) == (0, 1)


async def test_report_lets_the_call_go_on_as_if_nothing_had_happened(
    autojump_clock: MockClock,
) -> None:
    slow = Slow()
    async with a_runner(slow.declared("report")) as running:
        running.call("slow")
        await trio.sleep(1)
        running.interrupt()
        report = await running.report()
        assert (report.output, report.wants_answer) == ("done", True)


async def test_only_the_calls_that_are_meant_are_interrupted(autojump_clock: MockClock) -> None:
    slow = Slow()
    async with a_runner(slow.declared("cancel")) as running:
        running.call("slow", "a")
        running.call("slow", "b")
        await trio.sleep(1)
        running.interrupt("a", "never_called")
        assert (await running.report("b")).output == "done"
        assert running.reports["a"].output == CANCELLED


async def test_a_call_that_was_not_begun_yet_is_not_begun(autojump_clock: MockClock) -> None:
    slow = Slow()
    async with a_runner(slow.declared("cancel")) as running:
        running.call("slow")
        running.interrupt()
        await trio.sleep(10)
        assert running.reports["c"].output == CANCELLED
        assert (slow.most, slow.ended) == (0, 0)


async def test_the_interruption_of_a_call_that_is_over_is_no_news(
    autojump_clock: MockClock,
) -> None:
    async with a_runner(add) as running:
        running.call("add", a=1, b=2)
        await running.report()
        running.interrupt()
        await trio.sleep(1)
        assert running.reports["c"].output == 3


async def test_a_tool_may_shield_itself_but_its_output_does_not_wait(
    autojump_clock: MockClock,
) -> None:
    ended = []

    @tool
    async def stubborn() -> str:
        """End in its own time."""
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        ended.append(trio.current_time())
        return "too late"

    async with a_runner(stubborn) as running:
        began = trio.current_time()
        running.call("stubborn")
        await trio.sleep(1)
        running.interrupt()
        assert running.reports["c"].at == began + 1
        await trio.sleep(10)
        assert ended == [began + 5]
        assert running.reports["c"].output == CANCELLED


async def test_an_output_does_not_wait_for_a_tool_that_shields_itself_from_its_timeout(
    autojump_clock: MockClock,
) -> None:
    @tool(timeout_s=2)
    async def stubborn() -> str:
        """End in its own time."""
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        return "too late"

    async with a_runner(stubborn) as running:
        began = trio.current_time()
        running.call("stubborn")
        report = await running.report()
        assert report.at - began < 4
        assert "timed out" in report.output["error"]
        assert report.wants_answer
        await trio.sleep(60)


async def test_a_tool_that_raises_when_it_is_cancelled_is_reported_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    async def sulks() -> None:
        """Raise when it is cancelled."""
        try:
            await trio.sleep(5)
        finally:
            raise LookupError("I was not done")

    async with a_runner(sulks) as running:
        running.call("sulks")
        await trio.sleep(1)
        running.interrupt()
        await trio.sleep(1)
        assert running.reports["c"].output == CANCELLED


# Many at a time.


async def test_calls_run_side_by_side_but_not_too_many(autojump_clock: MockClock) -> None:
    slow = Slow(seconds=1)
    async with a_runner(slow.declared()) as running:
        began = trio.current_time()
        for number in range(2 * PARALLEL):
            running.call("slow", f"c{number}")
        await trio.sleep(3)
        assert len(running.reports) == 2 * PARALLEL
        assert slow.most == PARALLEL
        ends = [report.at - began for report in running.reports.values()]
        assert ends == pytest.approx([1] * PARALLEL + [2] * PARALLEL, abs=0.01)


async def test_more_calls_than_can_wait_are_not_run_and_harm_nothing(
    autojump_clock: MockClock,
) -> None:
    """Cancelled ones still wait to be begun, while the model may call for as many again."""
    slow = Slow(seconds=1)
    async with a_runner(slow.declared()) as running:
        await wait_all_tasks_blocked()
        names = [f"c{number}" for number in range(2 * QUEUE + 10)]
        for name in names[:QUEUE]:
            running.call("slow", name)
        running.interrupt(*names[:QUEUE])
        for name in names[QUEUE:]:
            running.call("slow", name)
        await trio.sleep(20)
        assert running.reports.keys() == set(names)
        assert slow.inside == 0


async def test_at_the_end_of_the_call_everything_is_cancelled(autojump_clock: MockClock) -> None:
    slow = Slow(seconds=50)
    async with a_runner(slow.declared("report", timeout_s=100)) as running:
        for number in range(PARALLEL + 3):
            running.call("slow", f"c{number}")
        await trio.sleep(1)
        assert slow.inside == PARALLEL
    assert running.over.is_set()
    assert slow.inside == slow.ended == 0
    assert slow.cancelled == PARALLEL
    assert not running.reports  # there is nobody left to be told


# Synchronous tools, on threads, in real time.


async def test_a_synchronous_tool_holds_nothing_up() -> None:
    go_on = threading.Event()

    @tool
    def wait() -> str:
        """Wait."""
        assert go_on.wait(10)
        return "waited"

    async with a_runner(wait, add, fail_after=10) as running:
        running.call("wait")
        running.call("add", "quick", a=1, b=2)
        assert (await running.report("quick")).output == 3
        assert "c" not in running.reports
        go_on.set()
        assert (await running.report()).output == "waited"


@pytest.mark.parametrize("policy", ["cancel", "finish"])
async def test_an_interrupted_thread_is_left_to_itself(policy: OnInterruption) -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def wait() -> str:
        """Wait."""
        began.set()
        assert go_on.wait(10)
        ended.set()
        return "waited"

    async with a_runner(tool(wait, on_interruption=policy), fail_after=10) as running:
        running.call("wait")
        await _comes(began)
        running.interrupt()
        assert ("c" in running.reports) == (policy == "cancel")
        go_on.set()
        await _comes(ended)
        report = await running.report()
        await wait_all_tasks_blocked(0.01)
        assert report.output == (CANCELLED if policy == "cancel" else "waited")
        assert not report.wants_answer


async def test_a_thread_does_not_keep_the_call_from_ending() -> None:
    began, go_on = threading.Event(), threading.Event()

    @tool
    def wait() -> None:
        """Wait."""
        began.set()
        go_on.wait(10)

    async with a_runner(wait, fail_after=10) as running:
        running.call("wait")
        await _comes(began)
    assert running.over.is_set()
    go_on.set()


async def _comes(event: threading.Event) -> None:
    assert await trio.to_thread.run_sync(event.wait, 10)


async def test_what_the_log_says_of_a_call(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with a_runner(add) as running:
        running.call("add", a=1, b=2)
        await running.report()
        running.call("a\nb", "odd")
        await running.report("odd")
    assert "calling add" in caplog.messages
    assert all(message.isprintable() for message in caplog.messages)


async def test_tools_that_never_end_keep_no_others_from_running(autojump_clock: MockClock) -> None:
    @tool(timeout_s=5)
    async def stuck() -> None:
        with trio.CancelScope(shield=True):
            await never.wait()

    @tool
    async def quick() -> str:
        return "done"

    never = trio.Event()
    async with a_runner(stuck, quick) as running:
        for number in range(2 * PARALLEL):
            running.call("stuck", f"stuck_{number}")
        running.call("quick", "late")
        for number in range(2 * PARALLEL):
            assert "timed out" in (await running.report(f"stuck_{number}")).output["error"]
        running.call("quick", "later")
        assert (await running.report("later")).output == "done"
        assert "late" in running.reports
        never.set()


async def test_what_goes_on_silently_neither_speaks_nor_ends_the_call(
    autojump_clock: MockClock,
) -> None:
    did: list[str] = []

    @tool(on_interruption="finish")
    async def talks(context: RunContext) -> str:
        context.say("before")
        await trio.sleep(1)
        context.say("after")
        context.end_call("after")
        return "done"

    given = RunContext(uid=7, say=did.append, end_call=did.append)
    async with a_runner(talks, context=given) as running:
        running.call("talks")
        await trio.sleep(0.5)
        running.interrupt()
        report = await running.report()
        assert (report.output, report.wants_answer, did) == ("done", False, ["before"])
