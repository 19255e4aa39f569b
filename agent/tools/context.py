"""The tools that an agent has, and the running of one call of one of them.

Nothing that a tool or a model does raises here: it becomes an output, `{"error": "..."}`, that the
model can use, and a line in the log.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from traceback import format_exception_only
from typing import Any, Final, Self, TypeAlias

import trio
from attrs import evolve, field, frozen

from agent.errors import ConfigError, NotInCall, one_line
from agent.tools.arguments import BadArguments
from agent.tools.declaring import (
    DEFAULT_TIMEOUT_S,
    ClientTool,
    OnInterruption,
    Tool,
    tool,
)
from agent.tools.forms import Schema
from agent.tools.outputs import BadOutput, encode_output
from agent.tools.run_context import RunContext
from agent.tools.schema import ToolError, context_of

AnyTool: TypeAlias = Tool[..., Any] | ClientTool

DEFAULT_THREADS: Final = 8
MAX_ERROR: Final = 4000
"""Characters of an error that the model is told."""


@frozen
class LocalToolCallExecuted:
    """A call has ended.

    :ivar json_encoded_output: JSON text for the model.
    :ivar failed: whether it is an error.
    """

    json_encoded_output: str
    failed: bool = field(default=False, kw_only=True)


@frozen
class ShouldPassThroughToolCall:
    """The user's client has to run this call."""

    decoded_function_args: dict[str, Any]


class ToolContext:
    """Tools by their names, in the order in which they were registered.

    :param tools: as `register` takes them.
    :param threads: synchronous functions that run at once; more wait, within their timeouts.
    :raises ToolError: one cannot be declared, or two have the same name.
    """

    def __init__(
        self,
        tools: Iterable[AnyTool | Callable[..., Any]] = (),
        *,
        threads: int = DEFAULT_THREADS,
    ) -> None:
        self._tools: dict[str, AnyTool] = {}
        self._limiter = trio.CapacityLimiter(threads)
        for each in tools:
            self.register(each)

    def __iter__(self) -> Iterator[AnyTool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def get(self, name: str) -> AnyTool | None:
        """The tool of this name, or None."""
        return self._tools.get(name)

    def select(self, names: Iterable[str]) -> Self:
        """The same with only these tools, in this order. They share the threads.

        :raises ConfigError: there is none of such a name; the text lists those that there are.
        """
        wanted = list(names)
        if unknown := [name for name in wanted if name not in self._tools]:
            raise ConfigError(f"tools: {self._no_tool(', '.join(unknown))}")
        chosen = copy(self)
        chosen._tools = {name: self._tools[name] for name in wanted}
        return chosen

    def register(self, declared: AnyTool | Callable[..., Any]) -> AnyTool:
        """Add a tool; a function is declared first, as by `tool`.

        :returns: the tool.
        :raises ToolError: it cannot be declared, or there is one of this name.
        """
        if not isinstance(declared, Tool | ClientTool):
            declared = tool(declared)
        if declared.name in self._tools:
            raise ToolError(f"the tool {declared.name}: there are two of this name")
        self._tools[declared.name] = declared
        return declared

    def register_function(
        self,
        *,
        name: str,
        description: str = "",
        parameters: Schema,
        fn: Callable[..., Any],
        timeout_s: float = DEFAULT_TIMEOUT_S,
        on_interruption: OnInterruption = "cancel",
        responds: bool = True,
    ) -> None:
        """Add a function with a schema of one's own; the other arguments are those of `tool`.

        :param parameters: the JSON Schema of an object. The model is told of it, but nothing is
            held against it.
        :param fn: sync or async; is given the arguments by their names, as the JSON has them.
        :raises ToolError: a value is bad, or there is a tool of this name.
        """
        made: Tool[..., Any] = Tool(
            name=name,
            description=description,
            parameters=parameters,
            fn=fn,
            context=context_of(fn),
            timeout_s=timeout_s,
            on_interruption=on_interruption,
            responds=responds,
        )
        self.register(made)

    def register_client_function(
        self,
        *,
        name: str,
        description: str = "",
        parameters: Schema,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        on_interruption: OnInterruption = "cancel",
        responds: bool = True,
    ) -> None:
        """Add a function that the user's client runs; see `register_function`.

        :raises ToolError: a value is bad, or there is a tool of this name.
        """
        made = ClientTool(
            name=name,
            description=description,
            parameters=parameters,
            timeout_s=timeout_s,
            on_interruption=on_interruption,
            responds=responds,
        )
        self.register(made)

    def model_description(self) -> list[dict[str, Any]]:
        """As `tools` of a GA session has them."""
        return [declared.model_description() for declared in self]

    async def execute_tool(
        self, tool_name: str, encoded_function_args: str, *, run: RunContext | None = None
    ) -> LocalToolCallExecuted | ShouldPassThroughToolCall:
        """Run one call to its end. A client's function is not run: its arguments are returned.

        An unknown tool, bad arguments, an exception, a timeout and a result that is not JSON or
        too large become an output that says so, and so does SystemExit. Only KeyboardInterrupt is
        raised, and trio.Cancelled where the call is cancelled.

        A synchronous function runs on a thread. Nothing can stop a thread: at a timeout, or if the
        call is cancelled, the function is left to itself. What it then returns or raises is lost,
        its `RunContext.say` raises, and it counts among `threads` until it returns; if it never
        does, the process does not wait for it when it ends.

        :param encoded_function_args: JSON text, as the model sent it.
        :param run: for a function that wants it; the tool's name is put in.
        """
        run = evolve(run or RunContext(), tool=tool_name)
        outcome: LocalToolCallExecuted | ShouldPassThroughToolCall | None = None
        try:
            outcome = await self._execute(tool_name, encoded_function_args, run)
        # Foreign code: it may raise anything, and must not end the call. With except*, what a
        # tool's own nursery raises beside Cancelled is caught, too, and Cancelled goes on.
        except* Exception as group:
            error = _sole(group)
            run.log.exception("the tool %s raised", one_line(tool_name), exc_info=error)
            outcome = _error(_words(error))
        assert outcome is not None
        return outcome

    async def _execute(
        self, name: str, encoded: str, run: RunContext
    ) -> LocalToolCallExecuted | ShouldPassThroughToolCall:
        declared = self._tools.get(name)
        if declared is None:
            return _failed(run, self._no_tool(name))
        try:
            arguments = declared.decode(encoded)
        except BadArguments as error:
            return _failed(run, str(error))
        if isinstance(declared, ClientTool):
            return ShouldPassThroughToolCall(arguments)
        with trio.move_on_after(declared.timeout_s) as scope:
            result = await self._call(declared, arguments, run)
        if scope.cancelled_caught:
            return _failed(run, f"it timed out after {declared.timeout_s:g} s")
        try:
            return LocalToolCallExecuted(encode_output(result))
        except BadOutput as error:
            return _failed(run, str(error))

    async def _call(self, called: Tool[..., Any], arguments: Schema, run: RunContext) -> Any:
        is_async = inspect.iscoroutinefunction(called.fn)
        with _saying(run, on_thread=not is_async) as inside:
            if called.context is not None:
                arguments = {**arguments, called.context: inside}
            if is_async:
                with _as_exceptions():
                    return await called.fn(**arguments)
            (result,) = await trio.to_thread.run_sync(
                _boxed, called.fn, arguments, abandon_on_cancel=True, limiter=self._limiter
            )
            # Of an async function that a plain one stands before, as some decorators have it.
            return await result if inspect.iscoroutine(result) else result

    def _no_tool(self, name: str) -> str:
        there = f"there are: {', '.join(self._tools)}" if self._tools else "there are none"
        return f"there is no tool {one_line(name)}; {there}"


def _boxed(fn: Callable[..., Any], arguments: Schema) -> tuple[Any]:
    """The result in a tuple, because Trio lets no thread return a bare coroutine."""
    with _as_exceptions():
        return (fn(**arguments),)


@contextmanager
def _as_exceptions() -> Iterator[None]:
    """A tool that wants to end the process, or another library's cancellation, is only an error."""
    try:
        yield
    except (Exception, KeyboardInterrupt, trio.Cancelled, BaseExceptionGroup):
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


@contextmanager
def _saying(run: RunContext, *, on_thread: bool) -> Iterator[RunContext]:
    """The context as a tool gets it: its `say` works from where the tool runs, until the end."""
    is_over = False

    def say(words: str) -> None:
        if is_over:
            raise NotInCall(f"the call of the tool {run.tool} has ended")
        run.say(words)

    def say_from_thread(words: str) -> None:
        trio.from_thread.run_sync(say, words)

    try:
        yield evolve(run, say=say_from_thread if on_thread else say)
    finally:
        is_over = True


def _failed(run: RunContext, words: str) -> LocalToolCallExecuted:
    run.log.warning("the tool %s: %s", one_line(run.tool), one_line(words))
    return _error(words)


def _error(words: str) -> LocalToolCallExecuted:
    told = words[:MAX_ERROR] + "..." * (len(words) > MAX_ERROR)
    return LocalToolCallExecuted(encode_output({"error": told}), failed=True)


def _sole(error: BaseException) -> BaseException:
    """What is in a group of just one; also of what `except*` makes of a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _words(error: BaseException) -> str:
    """Its type, without the module, and its message, which may itself raise when asked."""
    said = "".join(format_exception_only(error))
    return one_line(said.removeprefix(f"{type(error).__module__}."))
