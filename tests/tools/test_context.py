"""The registry, and one call of a tool: whatever a tool does, there is an output."""

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import attrs
import orjson
import pytest
import trio
import trio.testing

from agent.errors import ConfigError, NotInCall
from agent.tools import (
    LocalToolCallExecuted,
    RunContext,
    ShouldPassThroughToolCall,
    ToolContext,
    ToolError,
    tool,
)
from agent.tools.context import MAX_ERROR
from agent.tools.outputs import MAX_OUTPUT

OBJECT = {"type": "object"}


def add(a: int, b: int = 1) -> int:
    return a + b


async def add_async(a: int, b: int = 1) -> int:
    await trio.lowlevel.checkpoint()
    return a + b


async def output(tools: ToolContext, name: str, text: str = "{}", **more: Any) -> Any:
    executed = await tools.execute_tool(name, text, **more)
    assert isinstance(executed, LocalToolCallExecuted)
    value = orjson.loads(executed.json_encoded_output)
    assert executed.failed == (isinstance(value, dict) and value.keys() == {"error"})
    return value


async def error(tools: ToolContext, name: str, text: str = "{}", **more: Any) -> str:
    value = await output(tools, name, text, **more)
    assert value.keys() == {"error"}
    return str(value["error"])


# The registry.


def test_tools_are_registered_in_order() -> None:
    tools = ToolContext([add, tool(add_async)])
    tools.register_client_function(name="page", parameters=OBJECT)
    assert [each.name for each in tools] == ["add", "add_async", "page"]
    assert len(tools) == 3
    assert tools.get("add_async") is list(tools)[1]
    assert tools.get("other") is None


def test_the_model_is_told_of_all() -> None:
    tools = ToolContext([add])
    tools.register_function(name="own", description="Words.", parameters=OBJECT, fn=add)
    tools.register_client_function(name="page", parameters=OBJECT)
    added, own, page = tools.model_description()
    assert added["parameters"]["required"] == ["a"]
    assert own == {
        "type": "function",
        "name": "own",
        "description": "Words.",
        "parameters": OBJECT,
    }
    assert page == {"type": "function", "name": "page", "description": "", "parameters": OBJECT}


def test_options_of_registered_functions() -> None:
    tools = ToolContext()
    options: dict[str, Any] = {"timeout_s": 3, "on_interruption": "finish", "responds": False}
    tools.register_function(name="own", parameters=OBJECT, fn=add, **options)
    tools.register_client_function(name="page", parameters=OBJECT, **options)
    for each in tools:
        assert {name: getattr(each, name) for name in options} == options


def test_two_of_one_name_are_an_error() -> None:
    tools = ToolContext([add])
    with pytest.raises(ToolError, match="the tool add: there are two of this name"):
        tools.register(add)
    with pytest.raises(ToolError, match="the tool add: there are two of this name"):
        tools.register_client_function(name="add", parameters=OBJECT)
    assert len(tools) == 1


@pytest.mark.parametrize("kind", ["register_function", "register_client_function"])
def test_a_bad_name_or_schema_is_an_error(kind: str) -> None:
    more = {"fn": add} if kind == "register_function" else {}
    register = functools.partial(getattr(ToolContext(), kind), **more)
    with pytest.raises(ToolError, match="a name is 1 to 64"):
        register(name="a b", parameters=OBJECT)
    with pytest.raises(ToolError, match="the tool x: parameters must be the JSON Schema"):
        register(name="x", parameters={"a": {"type": "string"}})


async def test_select() -> None:
    class Mine(ToolContext):
        pass

    tools = Mine([add, add_async])
    chosen = tools.select(["add_async"])
    assert isinstance(chosen, Mine)
    assert [each.name for each in chosen] == ["add_async"]
    assert "there is no tool add;" in await error(chosen, "add", '{"a": 1}')
    assert len(tools) == 2
    chosen.register(print_nothing)
    assert len(tools) == 2


def print_nothing() -> None: ...


def test_select_what_is_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        ToolContext([add, add_async]).select(["add", "x", "y"])
    assert str(caught.value) == "tools: there is no tool x, y; there are: add, add_async"
    with pytest.raises(ConfigError, match="there are none"):
        ToolContext().select(["x"])


# One call.


@pytest.mark.parametrize("fn", [add, add_async])
async def test_a_call(fn: Callable[..., Any]) -> None:
    tools = ToolContext([fn])
    assert await output(tools, fn.__name__, '{"a": 2}') == 3
    assert await output(tools, fn.__name__, '{"a": 2.0, "b": 5}') == 7


@pytest.mark.parametrize("fn", [add, add_async, functools.partial(add, b=1)])
async def test_a_call_with_a_schema_of_ones_own(fn: Callable[..., Any]) -> None:
    tools = ToolContext()
    tools.register_function(name="own", parameters=OBJECT, fn=fn)
    assert await output(tools, "own", '{"a": 2.5}') == 3.5
    assert "unexpected keyword argument 'c'" in await error(tools, "own", '{"a": 2, "c": 1}')
    assert "bad arguments: expected an object" in await error(tools, "own", "[]")


async def test_a_plain_function_before_an_async_one() -> None:
    @functools.wraps(add_async)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return add_async(*args, **kwargs)

    assert await output(ToolContext([wrapper]), "add_async", '{"a": 2}') == 3


async def test_a_clients_function_is_passed_through() -> None:
    tools = ToolContext()
    tools.register_client_function(name="page", parameters=OBJECT)
    passed = await tools.execute_tool("page", '{"a": [1]}')
    assert passed == ShouldPassThroughToolCall({"a": [1]})
    assert "bad arguments: not JSON" in await error(tools, "page", "{")


async def test_an_unknown_tool(caplog: pytest.LogCaptureFixture) -> None:
    words = await error(ToolContext([add]), "a\ndd", "{}")
    assert words == "there is no tool a dd; there are: add"
    assert caplog.messages == [f"the tool a dd: {words}"]


async def test_bad_arguments(caplog: pytest.LogCaptureFixture) -> None:
    words = await error(ToolContext([add]), "add", '{"b": "1"}')
    assert words == "bad arguments: a: missing; b: expected a whole number, not text"
    assert caplog.messages == [f"the tool add: {words}"]
    assert caplog.records[0].exc_info is None


async def test_an_error_is_never_too_large_itself() -> None:
    tools = ToolContext([add])
    bad = {"é" * 900 + str(number): 1 for number in range(30)}
    words = await error(tools, "add", orjson.dumps(bad).decode())
    assert len(words) == MAX_ERROR + 3


class Unspeakable(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("not even this")


class Boom(Exception):
    pass


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (ValueError("no\nluck"), "ValueError: no luck"),
        (Boom("own"), "Boom: own"),
        (Boom(), "Boom"),
        (TimeoutError("theirs"), "TimeoutError: theirs"),
        (StopIteration(), "RuntimeError"),
        (Unspeakable(), "Unspeakable: <exception str() failed>"),
        (ExceptionGroup("all", [ValueError("one")]), "ValueError: one"),
        (ExceptionGroup("all", [ValueError("one"), Boom()]), "ExceptionGroup: all (2 sub-exc"),
        (ValueError("x" * 5000), "ValueError: xxx"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_exception(
    is_async: bool, raised: Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise raised

    async def fails_async() -> None:
        raise raised

    told = await error(
        ToolContext([tool(fails_async if is_async else fails, name="fails")]), "fails"
    )
    assert told.startswith(words)
    assert len(told) < 1100
    [record] = caplog.records
    assert record.getMessage() == "the tool fails raised"
    assert record.levelno == logging.ERROR
    assert "fails" in caplog.text  # the traceback is in the log, and only there


async def test_words_that_are_no_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ValueError("\ud800")

    # Not to be captured: the tests' own report could not carry it.
    monkeypatch.setattr(logging.getLogger("agent.tools.run_context"), "disabled", True)
    assert (await error(ToolContext([fails]), "fails")).startswith("ValueError:")


async def test_a_constructor_that_raises_what_it_likes() -> None:
    @attrs.frozen
    class Picky:
        x: int = attrs.field()

        @x.validator
        def _check(self, _: Any, value: int) -> None:
            raise LookupError("not this one")

    def fails(picky: Picky) -> None: ...

    fails.__annotations__["picky"] = Picky
    assert await error(ToolContext([fails]), "fails", '{"picky": {"x": 1}}') == (
        "LookupError: not this one"
    )


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (float("nan"), "the result is not JSON: it holds nan"),
        (object(), "the result is not JSON: it holds an object of the type object"),
        ("x" * MAX_OUTPUT, f"the result has {MAX_OUTPUT + 2} bytes; at most {MAX_OUTPUT}"),
    ],
)
async def test_a_bad_result(result: Any, words: str, caplog: pytest.LogCaptureFixture) -> None:
    async def f() -> Any:
        return result

    assert (await error(ToolContext([f]), "f")).startswith(words)
    assert caplog.messages[0].startswith(f"the tool f: {words}")


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, BaseException])
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_would_end_the_process_is_only_an_error(
    is_async: bool, kind: type[BaseException]
) -> None:
    def f() -> None:
        raise kind("bye")

    async def g() -> None:
        raise kind("bye")

    tools = ToolContext([tool(g if is_async else f, name="f")])
    assert kind.__name__ in await error(tools, "f")


@pytest.mark.parametrize("is_async", [False, True])
async def test_ctrl_c_goes_through(is_async: bool) -> None:
    def f() -> None:
        raise KeyboardInterrupt

    async def g() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ToolContext([tool(g if is_async else f, name="f")]).execute_tool("f", "{}")


# Timeouts and cancellation.


async def test_an_async_tool_that_times_out(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    cleaned = False

    @tool(timeout_s=2.5)
    async def slow() -> None:
        nonlocal cleaned
        try:
            await trio.sleep_forever()
        finally:
            cleaned = True

    began = trio.current_time()
    assert await error(ToolContext([slow]), "slow") == "it timed out after 2.5 s"
    assert trio.current_time() - began == 2.5
    assert cleaned
    assert caplog.messages == ["the tool slow: it timed out after 2.5 s"]


async def test_an_async_tool_that_is_in_time(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def slow() -> str:
        await trio.sleep(9.9)
        return "done"

    assert await output(ToolContext([slow]), "slow") == "done"


async def test_the_default_timeout(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def slow() -> None:
        await trio.sleep(10.1)

    assert "after 10 s" in await error(ToolContext([slow]), "slow")


async def test_cancellation_goes_through(autojump_clock: trio.testing.MockClock) -> None:
    async def slow() -> None:
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await ToolContext([slow]).execute_tool("slow", "{}")
    assert scope.cancelled_caught


async def test_what_fails_while_it_is_cancelled_ends_nothing(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    async def slow() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_at_the_end)
            nursery.start_soon(trio.sleep_forever)

    with trio.move_on_after(1) as scope:
        await ToolContext([slow]).execute_tool("slow", "{}")
    assert scope.cancelled_caught
    assert "on the way out" in caplog.text


@pytest.fixture
def gate() -> Any:
    """Lets the threads of a test go when it ends."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_sync_tool_that_times_out_is_left_to_itself(gate: threading.Event) -> None:
    ended = threading.Event()
    after: list[BaseException] = []

    @tool(timeout_s=0.05)
    def slow(run: RunContext) -> None:
        gate.wait(5)
        try:
            run.say("too late")
        except NotInCall as late:
            after.append(late)
        ended.set()

    said: list[str] = []
    run = RunContext(say=said.append)
    assert await error(ToolContext([slow]), "slow", run=run) == "it timed out after 0.05 s"
    gate.set()
    await trio.to_thread.run_sync(ended.wait, 5)
    assert said == []
    assert [str(late) for late in after] == ["the call of the tool slow has ended"]


async def test_a_sync_tool_is_cancelled_without_waiting_for_it(gate: threading.Event) -> None:
    started = trio.Event()

    def slow(run: RunContext) -> None:
        trio.from_thread.run_sync(started.set)
        gate.wait(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ToolContext([slow]).execute_tool, "slow", "{}")
        await started.wait()
        nursery.cancel_scope.cancel()
    assert not gate.is_set()


async def test_threads_are_limited_and_waiting_counts(gate: threading.Event) -> None:
    running = 0

    def count() -> None:
        nonlocal running
        running += 1

    @tool(timeout_s=0.1)
    def slow() -> None:
        trio.from_thread.run_sync(count)
        gate.wait(5)

    tools = ToolContext([slow], threads=2)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(error, tools, "slow")
    assert running == 2


async def test_eight_threads_by_default() -> None:
    barrier = threading.Barrier(8)

    @tool(timeout_s=2)
    def together() -> int:
        return barrier.wait(2)

    tools = ToolContext([together])
    ranks: list[int] = []

    async def one() -> None:
        ranks.append(await output(tools, "together"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one)
    assert sorted(ranks) == list(range(8))


# The context of a call.


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tool_is_given_its_context(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[RunContext] = []

    def f(x: int, run: RunContext) -> int:
        run.say(f"looking for {x}")
        found.append(run)
        return x

    async def g(x: int, run: RunContext) -> int:
        return f(x, run)

    said: list[str] = []
    log = logging.LoggerAdapter(logging.getLogger("test"), {"channel_name": "room"})
    run = RunContext(
        call_id="call_1", channel_name="room", uid=7, metadata={"a": "b"}, log=log, say=said.append
    )
    tools = ToolContext([tool(g if is_async else f, name="f")])
    assert await output(tools, "f", '{"x": 5}', run=run) == 5
    assert said == ["looking for 5"]
    [given] = found
    assert (given.call_id, given.tool, given.uid) == ("call_1", "f", 7)
    assert (given.channel_name, given.metadata, given.log) == ("room", {"a": "b"}, log)
    await error(tools, "f", "[", run=run)
    assert caplog.records[-1].__dict__["channel_name"] == "room"


async def test_words_are_said_in_the_agents_own_thread() -> None:
    threads: list[threading.Thread] = []

    def f(run: RunContext) -> None:
        assert threading.current_thread() is not threading.main_thread()
        run.say("words")

    run = RunContext(say=lambda _: threads.append(threading.current_thread()))
    assert await output(ToolContext([f]), "f", run=run) is None
    assert threads == [threading.main_thread()]


async def test_a_schema_of_ones_own_with_a_context() -> None:
    def f(run: RunContext, x: int) -> str:
        return f"{run.call_id} {x}"

    tools = ToolContext()
    tools.register_function(name="f", parameters=OBJECT, fn=f)
    run = RunContext(call_id="call_1")
    assert await output(tools, "f", '{"x": 5, "run": "the model\'s"}', run=run) == "call_1 5"


async def test_what_say_raises_is_the_tools_to_handle() -> None:
    def no_call(words: str) -> None:
        raise NotInCall("the agent is not in a call")

    def f(run: RunContext) -> None:
        run.say("words")

    words = await error(ToolContext([f]), "f", run=RunContext(say=no_call))
    assert words == "NotInCall: the agent is not in a call"


async def test_outside_of_any_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def f(run: RunContext) -> None:
        run.say("words")

    assert await output(ToolContext([f]), "f") is None
    assert "nobody hears: words" in caplog.text
