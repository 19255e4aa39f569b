"""Agora in this process: its wrapper's real code over the stand-in for its SDK."""

import importlib
import json
import logging
import os
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud

STANDIN = Path(__file__).parents[1] / "standin"
WRAPPER = Path(sys.prefix) / "agora"
APP_ID, CERTIFICATE = "a" * 32, "b" * 32
LOGGERS = ("agora.rtc", "agora_realtime_ai_api")
# pyee is here because the wrapper has a version of its own.
MODULES = ("agora", "agora_standin", "agora_realtime_ai_api", "pyee")


class NotInstalled(Exception):
    """The wrapper is not where the tests want it."""


@contextmanager
def agora_sdk(**switches: Any) -> Iterator["Cloud"]:
    """Make `agora` and `agora_realtime_ai_api` importable, and only in here.

    What imports them must do it in here as well. At the end all threads of the cloud have ended.

    :param switches: of the stand-in's plan, which `cloud.plan` has then.
    :raises NotInstalled: there is no wrapper.
    """
    with ExitStack() as stack:
        for kept in (_path(), _modules(), _https(), _loggers()):
            stack.enter_context(kept)
        cloud: Cloud = importlib.import_module("agora_standin").CLOUD
        stack.callback(cloud.close)
        cloud.plan.change(switches)
        yield cloud


@contextmanager
def agora_cloud() -> Iterator["Cloud"]:
    """Agora's cloud, which knows `APP_ID` and `CERTIFICATE`.

    At the end nothing of a call of uid 1 in the channel demo may be left, in it or in this process.
    """
    before = set(threading.enumerate())
    with agora_sdk(app_id=APP_ID, certificate=CERTIFICATE) as cloud:
        yield cloud
    assert cloud.violations == [], cloud.violations
    assert cloud.callback_errors == []
    assert cloud.services == 0, [call.method for call in cloud.calls]
    assert "1" not in cloud.members("demo")
    left = {thread.name for thread in set(threading.enumerate()) - before}
    # Trio keeps the threads on which a test waited.
    assert {name for name in left if not name.startswith("Trio")} == set()


def environment(plan: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What a child process needs in its environment for the same, with a plan of its own."""
    inherited = os.environ.get("PYTHONPATH")
    paths = [*_paths(), *([inherited] if inherited else [])]
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        "AGORA_STANDIN_PLAN": json.dumps(dict(plan or {})),
    }


def _paths() -> list[str]:
    if not (WRAPPER / "agora_realtime_ai_api").is_dir():
        raise NotInstalled(f"Agora's wrapper is not in {WRAPPER}: run `make test`")
    return [str(STANDIN), str(WRAPPER)]


@contextmanager
def _path() -> Iterator[None]:
    paths = _paths()
    sys.path[:0] = paths
    try:
        yield
    finally:
        for path in paths:
            sys.path.remove(path)


@contextmanager
def _modules() -> Iterator[None]:
    """Those of before are set aside, and come back."""
    before = _take_out()
    try:
        yield
    finally:
        _take_out()
        sys.modules.update(before)


def _take_out() -> dict[str, Any]:
    names = [name for name in sys.modules if name.split(".")[0] in MODULES]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def _https() -> Iterator[None]:
    before = ssl._create_default_https_context
    try:
        yield
    finally:
        ssl._create_default_https_context = before


@contextmanager
def _loggers() -> Iterator[None]:
    """The wrapper's loggers get handlers that write to whatever stderr is at that time."""
    before = {logger.name: _state(logger) for logger in _known_loggers()}
    try:
        yield
    finally:
        for logger in _known_loggers():
            handlers, level, propagates = before.get(logger.name, ([], logging.NOTSET, True))
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagates


def _known_loggers() -> list[logging.Logger]:
    known = list(logging.Logger.manager.loggerDict.items())
    return [
        logger
        for name, logger in known
        if isinstance(logger, logging.Logger) and name.startswith(LOGGERS)
    ]


def _state(logger: logging.Logger) -> tuple[list[logging.Handler], int, bool]:
    return list(logger.handlers), logger.level, logger.propagate
