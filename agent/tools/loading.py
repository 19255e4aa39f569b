"""Tools by the names of their modules, as the operator gives them: `package.module:name`.

What is named is imported, and so runs: names come from a command line or a profile, never from a
request.
"""

import inspect
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

from agent.errors import ConfigError, one_line
from agent.tools.context import ToolContext
from agent.tools.declaring import ClientTool, Tool

TOOLS_HELP: Final = "what the model may call: package.module:name, several with commas"


def names_in(text: str | None) -> tuple[str, ...]:
    """The names in a command line's `--tools`."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def load_tools(*names: str) -> ToolContext:
    """All the tools that are named, in one context.

    A name is that of a tool, a function, a `ToolContext`, a class that derives from it (which is
    made without arguments) or a list of these. Of a `ToolContext` only the tools are used. The
    current directory can be imported from, as with `python -m`.

    :param names: `package.module:name` each.
    :raises ConfigError: there is no such module or name in it, it is something else, its import
        raised, or two tools have the same name. The text names it.
    """
    directory = str(Path.cwd())
    if directory not in sys.path and "" not in sys.path:
        sys.path.insert(0, directory)
    tools = ToolContext()
    for name in names:
        _register(tools, name, _find(name))
    return tools


def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    if not (module and path):
        raise ConfigError(f"tools {name}: must be of the form package.module:name")
    imported = _import(name, module)
    try:
        return reduce(getattr, path.split("."), imported)
    except AttributeError:
        raise ConfigError(f"tools {name}: the module {module} has no {path}") from None


def _import(name: str, module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A module that is found, but imports one that is not, is another matter.
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"tools {name}: there is no module {error.name}") from error
        raise _raised(name, "importing it", error) from error
    except (Exception, SystemExit) as error:  # a script that was not meant to be imported
        raise _raised(name, "importing it", error) from error


def _register(tools: ToolContext, name: str, found: Any) -> None:
    if isinstance(found, type) and issubclass(found, ToolContext):
        found = _made(name, found)
    if isinstance(found, Tool | ClientTool) or inspect.isfunction(found) or inspect.ismethod(found):
        tools.register(found)
    elif isinstance(found, ToolContext | list | tuple):
        for each in found:
            _register(tools, name, each)
    else:
        raise ConfigError(
            f"tools {name}: is neither a tool nor a function, nor a ToolContext or a list of these,"
            f" but of the type {type(found).__name__}"
        )


def _made(name: str, cls: type[ToolContext]) -> ToolContext:
    try:
        return cls()
    except (Exception, SystemExit) as error:
        raise _raised(name, "making it", error) from error


def _raised(name: str, doing: str, error: BaseException) -> ConfigError:
    last = extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    words = one_line(f"{type(error).__name__}: {error}")
    return ConfigError(f"tools {name}: {doing} raised {words} ({where})")
