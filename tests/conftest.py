"""How many examples Hypothesis tries, and that in all tests the agent speaks officially.

HYPOTHESIS_PROFILE=prove tries many examples.
"""

import gc
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings

from agent.protocol import encode
from agent.protocol.client_events import RealtimeClientEvent
from agent.streams import model
from tests.official import official_client_event

MainOf: TypeAlias = Callable[[Any, list[str], Mapping[str, str]], None]

# A machine that is busy is no fault of the code's, so nothing here is timed.
_UNTIMED = [HealthCheck.too_slow]

settings.register_profile("default", max_examples=20, deadline=None, suppress_health_check=_UNTIMED)
settings.register_profile("prove", max_examples=1000, deadline=None, suppress_health_check=_UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector look at no test of thousands again, which took 6 % of the time."""
    gc.disable()  # what is made till all are collected stays
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def all_that_the_agent_sends_is_official() -> Iterator[None]:
    """Whatever any test makes the agent say to a GA model is held against the official types.

    The processes that some tests start are beyond this; they speak to the embedded model, which
    refuses what it does not know.
    """

    def checked(event: RealtimeClientEvent) -> str:
        text = encode(event)
        official_client_event(text)
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(model._DIALECTS, "ga", evolve(model._DIALECTS["ga"], encode=checked))
        yield


@pytest.fixture
def main_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MainOf:
    """Runs a command in this process, in an empty folder: one of its own takes a second."""

    def run(module: Any, arguments: list[str], environ: Mapping[str, str]) -> None:
        monkeypatch.chdir(tmp_path)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(module, "hold_signals", lambda: None)
        monkeypatch.setattr(module, "setup_logging", lambda *_: None)
        module.main(arguments)

    return run
