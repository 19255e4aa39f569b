"""A running agent, in the hands of the program that runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from agent.errors import NotInCall


class Speaker(Protocol):
    """What a handle needs of a call."""

    def interrupt(self) -> None:
        """Fall silent."""

    def say(self, words: str, *, allow_interruptions: bool) -> None:
        """Have words said."""


class Agent:
    """One agent, to be given to `agent.run_agent`, once. But for `joined` its methods never wait.

    They are called in the Trio run that the agent is in; from elsewhere by
    `trio.from_thread.run_sync`.

    :ivar scope: what `stop` cancels; `agent.run_agent` enters it.
    :ivar reason: why the agent was stopped.
    """

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.reason = "stopped"
        self._call: Speaker | None = None
        self._has_joined = trio.Event()

    async def joined(self) -> None:
        """Wait until the agent is in its call; from then on it can be told what to say."""
        await self._has_joined.wait()

    def stop(self, reason: str = "stopped") -> None:
        """End the agent: its channel is left and its sockets closed in order.

        :param reason: for the log; the first one given counts.
        """
        if not self.scope.cancel_called:
            self.reason = reason
            self.scope.cancel()

    def interrupt(self) -> None:
        """Fall silent now, in the midst of protected speech, too.

        What is being generated is cancelled, the model is told what was heard, and what waits to be
        said is given up. Where nothing is being said or waits, nothing happens.
        """
        if self._call is not None:
            self._call.interrupt()

    def say(self, words: str, *, allow_interruptions: bool = True) -> None:
        """Have the model say these words, after what is being said.

        :param allow_interruptions: False protects them, as a legal notice wants it: the person's
            voice and typed messages do not cut them short. They are answered afterwards.
        :raises NotInCall: the agent is not in a call yet (see `joined`), or not any more.
        :raises ValueError: there are no words.
        """
        if not words.strip():
            raise ValueError("there are no words to say")
        if self._call is None:
            raise NotInCall("the agent is not in a call")
        self._call.say(words, allow_interruptions=allow_interruptions)

    @contextmanager
    def in_call(self, call: Speaker) -> Iterator[None]:
        """Around a call that this agent holds."""
        self._call = call
        self._has_joined.set()
        try:
            yield
        finally:
            self._call = None
