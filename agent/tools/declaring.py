"""Declaring tools: what the model is told of a function, and how its calls are treated."""

import inspect
import math
import re
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args, overload

from attrs import Attribute, field, frozen

from agent.tools.arguments import decode_arguments
from agent.tools.docstrings import read_docstring
from agent.tools.forms import Form, Schema
from agent.tools.outputs import BadOutput, to_json
from agent.tools.schema import ToolError, read_signature

P = ParamSpec("P")
R = TypeVar("R")

OnInterruption: TypeAlias = Literal["cancel", "finish", "report"]

DEFAULT_TIMEOUT_S: Final = 10.0
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _name(tool: "Declaration", _: "Attribute[str]", value: Any) -> None:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise ToolError(f"the tool {value!r}: a name is 1 to 64 of letters, digits, _ and -")


def _timeout(tool: "Declaration", _: "Attribute[float]", value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ToolError(f"the tool {tool.name}: timeout_s must be more than 0 seconds")


def _treatment(tool: "Declaration", _: "Attribute[str]", value: Any) -> None:
    choices = get_args(OnInterruption)
    if value not in choices:
        raise ToolError(f"the tool {tool.name}: on_interruption must be {' or '.join(choices)}")


def _parameters(tool: "Declaration", _: "Attribute[Schema]", value: Any) -> None:
    if not isinstance(value, dict) or value.get("type") != "object":
        raise ToolError(f"the tool {tool.name}: parameters must be the JSON Schema of an object")
    try:
        to_json(value)
    except BadOutput as error:
        words = str(error).replace("the result", "it")
        raise ToolError(f"the tool {tool.name}: parameters must be JSON: {words}") from error


@frozen(kw_only=True, eq=False)
class Declaration:
    """What the model is told of a tool, and how its calls are treated.

    :ivar name: 1 to 64 of letters, digits, _ and -.
    :ivar parameters: the JSON Schema of an object.
    :ivar timeout_s: seconds that a call may take.
    :ivar on_interruption: what happens to a call when the person speaks over the agent: it is
        cancelled, finishes silently, or finishes and reports its result.
    :ivar responds: whether the model answers once the result is there.
    :raises ToolError: a value is bad.
    """

    name: str = field(validator=_name)
    description: str = ""
    parameters: Schema = field(validator=_parameters, repr=False)
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S, validator=_timeout)
    on_interruption: OnInterruption = field(default="cancel", validator=_treatment)
    responds: bool = True

    def model_description(self) -> dict[str, Any]:
        """As `tools` of a GA session has it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }

    def decode(self, encoded_function_args: str) -> dict[str, Any]:
        """The keyword arguments of a call, out of the model's JSON text.

        :raises BadArguments: they are not what the tool takes.
        """
        return decode_arguments(encoded_function_args)


@frozen(kw_only=True, eq=False)
class ClientTool(Declaration):
    """A tool that the user's client runs."""


@frozen(kw_only=True, eq=False)
class Tool(Declaration, Generic[P, R]):
    """A tool that the agent runs. It can still be called as the function that it was made of.

    :ivar form: what the arguments are made by; None takes them as they are in the JSON.
    :ivar context: the name of the parameter that is given the `RunContext`, if there is one.
    """

    fn: Callable[P, R]
    form: Form | None = field(default=None, repr=False)
    context: str | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: nothing is checked, and no timeout applies."""
        return self.fn(*args, **kwargs)

    def decode(self, encoded_function_args: str) -> dict[str, Any]:
        """The keyword arguments of a call, out of the model's JSON text; no `RunContext` yet.

        :raises BadArguments: they are not what the tool takes.
        """
        return decode_arguments(encoded_function_args, self.form.structure if self.form else None)


@overload
def tool(
    fn: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    on_interruption: OnInterruption = "cancel",
    responds: bool = True,
) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    on_interruption: OnInterruption = "cancel",
    responds: bool = True,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function, or a bound method, as a tool: `@tool`, or `@tool(timeout_s=30)`.

    The signature, its type hints and the docstring become what the model is told: the first
    paragraph describes the tool, and the parameters are described as `:param x:`, `Args:` or
    NumPy's `Parameters` have them, or by `Annotated[int, "words"]`. Types may be str, int, float,
    bool, None, Any, datetime and date (ISO texts), Literal, enumerations (by value), unions, list,
    tuple, set and dict[str, ...], TypedDict, dataclasses and attrs classes, also within each other.
    A parameter that is annotated `RunContext` is given that, and the model is not told of it.

    An async function runs in the agent's own loop; a synchronous one on a thread (see
    `ToolContext.execute_tool`).

    :param name: the function's by default.
    :param description: the first paragraph of the docstring by default.
    :param timeout_s: seconds that a call may take.
    :param on_interruption: when the person speaks over the agent, the call is cancelled
        (`cancel`), goes on and the model does not speak of its result (`finish`), or goes on as if
        nothing had happened (`report`).
    :param responds: False if the model shall say nothing when the result is there.
    :raises ToolError: the function cannot be one; the parameter and its type are named.
    """
    return _declared(fn, **options) if fn is not None else lambda fn: _declared(fn, **options)


def _declared(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    **options: Any,
) -> Tool[..., Any]:
    if not (inspect.isfunction(fn) or inspect.ismethod(fn)):
        raise ToolError(f"{fn!r} cannot be a tool: it is neither a function nor a bound method")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise ToolError(f"the tool {fn.__qualname__}: it yields; a tool returns its result")
    signature = read_signature(fn)
    summary = read_docstring(inspect.getdoc(fn)).summary
    return Tool(
        name=fn.__name__ if name is None else name,
        description=summary if description is None else description,
        parameters=signature.schema,
        fn=fn,
        form=signature.form,
        context=signature.context,
        **options,
    )
