"""People and events by plan, for programs that run in a process of their own."""

import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field

from .cloud import Cloud
from .person import Person
from .subscriptions import SUBSCRIBED

PATIENCE_S = 5.0


@define(eq=False)
class Script:
    """What `Plan.people` do, and `Plan.events`, in seconds since the first connection's start.

    A person is ``{"uid", "joins_at_s", "speaks", "speaks_at_s", "says", "leaves_at_s",
    "leave_reason"}``, of which only the first must be there. ``speaks`` is the path of raw PCM; it
    is spoken when the agent hears them, unless a time is given. An event is ``{"at_s", "do":
    "lose" | "recover" | "kick", "uid"}``, for a kick with ``"reason"`` and ``"callback"``.
    """

    cloud: Cloud
    _began: float = field(init=False)
    _channel: str = field(init=False, default="")

    def wait_for_the_agent(self) -> None:
        self.cloud.at_connect.append(self._begin)

    def _begin(self, channel: str) -> None:
        self.cloud.at_connect.remove(self._begin)
        self._began, self._channel = time.monotonic(), channel
        for person in self.cloud.plan.people:
            self._run(f"person {person['uid']}", partial(self._live, self.cloud.person(), person))
        for event in self.cloud.plan.events:
            self._run(event["do"], partial(self._happen, event))

    def _run(self, name: str, what: Callable[[], None]) -> None:
        self.cloud.start(threading.Thread(target=what, name=f"script: {name}", daemon=True))

    def _live(self, person: Person, what: dict[str, Any]) -> None:
        if not self._comes(what.get("joins_at_s", 0)):
            return
        person.join(self._channel, what["uid"])
        for text in what.get("says", []):
            person.send(text)
        if "speaks" in what:
            self._speak(person, what)
        if "leaves_at_s" in what and self._comes(what["leaves_at_s"]):
            person.leave(what.get("leave_reason", 0))

    def _speak(self, person: Person, what: dict[str, Any]) -> None:
        pcm = Path(what["speaks"]).read_bytes()
        if "speaks_at_s" in what:
            self._comes(what["speaks_at_s"])
        else:
            with contextlib.suppress(TimeoutError):
                self.cloud.until(partial(self._is_heard, person.uid), PATIENCE_S)
        person.speak(pcm)

    def _happen(self, event: dict[str, Any]) -> None:
        if not self._comes(event["at_s"]):
            return
        if event["do"] == "kick":
            self.cloud.kick(event["uid"], event.get("reason", 3), event.get("callback"))
        elif event["do"] == "lose":
            self.cloud.lose(event["uid"])
        else:
            self.cloud.recover(event["uid"])

    def _comes(self, at_s: float) -> bool:
        """Wait for a time; false when the cloud is closed before."""
        return not self.cloud.closing.wait(max(self._began + at_s - time.monotonic(), 0))

    def _is_heard(self, uid: str) -> bool:
        states = [known.subscriptions.state_of(uid) for known in self.cloud.connections]
        return SUBSCRIBED in states or self.cloud.closing.is_set()
