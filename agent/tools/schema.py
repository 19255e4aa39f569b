"""Signatures and docstrings, read as JSON Schema and as forms for the arguments."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from attrs import NOTHING, field, frozen

from agent.errors import ConfigError
from agent.tools.docstrings import read_docstring
from agent.tools.fields import Field, NoSchema
from agent.tools.forms import Form, Schema, record
from agent.tools.hints import Forms
from agent.tools.run_context import RunContext


class ToolError(ConfigError):
    """A tool is declared in a way that cannot work. The text names it, and what of it is wrong."""


@frozen
class Signature:
    """What a function takes.

    :ivar schema: the JSON Schema of its arguments.
    :ivar form: makes its keyword arguments of a JSON object.
    :ivar context: the name of the parameter that wants the `RunContext`, if one does.
    """

    schema: Schema = field(repr=False)
    form: Form = field(repr=False)
    context: str | None


def read_signature(fn: Callable[..., Any]) -> Signature:
    """What a function or a bound method takes.

    :raises ToolError: a parameter cannot be given by its name, or has no type or one that JSON
        does not have; it is named. Or annotations name what does not exist.
    """
    hints, context = hints_of(fn), context_of(fn)
    forms = Forms()
    told = read_docstring(inspect.getdoc(fn)).parameters
    parts = []
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.name == context:
            continue
        try:
            found = _parameter(parameter, hints)
            parts.append(forms.part(found, told.get(found.name, "")))
        except NoSchema as error:
            raise ToolError(f"{_called(fn)}: the parameter {parameter.name} {error}") from error
    form = record(_called(fn), parts, dict)
    definitions = {"$defs": forms.definitions} if forms.definitions else {}
    return Signature({**form.schema, **definitions}, form, context)


def context_of(fn: Callable[..., Any]) -> str | None:
    """The name of the parameter that is annotated `RunContext`, if there is one.

    :raises ToolError: there are several, or annotations name what does not exist.
    """
    names = [
        name
        for name, hint in hints_of(fn).items()
        if name != "return" and hint in (RunContext, RunContext | None)
    ]
    if len(names) > 1:
        raise ToolError(f"{_called(fn)}: more than one RunContext: {', '.join(names)}")
    return names[0] if names else None


def hints_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function or a method, in which strings are read; else nothing.

    :raises ToolError: one names what does not exist.
    """
    if not (inspect.isfunction(fn) or inspect.ismethod(fn)):
        return {}
    try:
        return get_type_hints(fn, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ToolError(f"{_called(fn)}: its annotations cannot be read: {error}") from error


def _called(fn: Callable[..., Any]) -> str:
    return f"the tool {getattr(fn, '__qualname__', fn)}"


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any]) -> Field:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise NoSchema("is positional only: a model gives arguments by their names")
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise NoSchema("takes any arguments, which no schema can describe (* or **)")
    if parameter.name not in hints:
        hint = " (of a method, declare a bound one: tool(thing.method))"
        raise NoSchema(f"has no type{hint if parameter.name in ('self', 'cls') else ''}")
    required = parameter.default is parameter.empty
    default = NOTHING if required else parameter.default
    return Field(parameter.name, hints[parameter.name], required, default)
