"""One agent's life: the processes that it has one after the other, and what is told of them."""

import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import trio
from attrs import evolve, frozen

from agent.nurseries import first_of
from agent.options import AgentOptions, OptionsError, to_plain
from agent.signals import signal_name
from agent.supervisor.event_log import Event, EventLog
from agent.supervisor.info import AgentInfo, JoinTimeout, StartFailed
from agent.supervisor.pool import Pool
from agent.supervisor.process import AgentProcess, Message
from agent.supervisor.restarts import Restarts
from agent.supervisor.watching import Fault, watch

JOIN_S: Final = 30.0
"""From its options to being in the channel: connecting and configuring the model, with its
retries."""
EXIT_S: Final = 5.0
"""From the end of a child's socket to its exit: only the interpreter's own end lies between."""
NOBODY_CAME: Final = 3
"""The exit status that says so, which is no failure."""


@frozen
class End:
    """How a process ended.

    :ivar faults: of the options, which only an agent could find.
    :ivar kind: of its fault; empty: it ended as was meant.
    :ivar is_final: there is no use in trying again.
    """

    reason: str
    kind: str = ""
    is_final: bool = False
    faults: tuple[tuple[str, str], ...] = ()

    def error(self) -> StartFailed | OptionsError | JoinTimeout:
        """As whoever wanted the agent is told, where it was not in its channel yet."""
        if self.faults:
            return OptionsError(list(self.faults))
        if self.kind == JoinTimeout.kind:
            return JoinTimeout(self.reason)
        return StartFailed(self.reason, self.kind or "ended")


class Life:
    """One agent, from its start to its end.

    :param told: what each of its processes is told.
    :param restarts: whether it lives on when one of them fails.
    :param on_event: is told what happens, before `events` is.
    :ivar events: what happened.
    :ivar joined: it was in its channel once.
    :ivar gone: nothing of it is left.
    :ivar changed: set when it has a new state, which has a new event.
    :ivar scope: what `stop` cancels.
    """

    def __init__(
        self,
        options: AgentOptions,
        info: AgentInfo,
        told: Message,
        restarts: Restarts,
        on_event: Callable[[AgentInfo, Event], None],
    ) -> None:
        self.info = info
        self.events = EventLog(secrets.token_hex(4))
        self.scope = trio.CancelScope()
        self.gone = trio.Event()
        self.joined = False
        self.restarts = restarts
        self.changed = trio.Event()
        self._stopped = self._is_shutdown = self._is_given_up = False
        self._joined_at = math.inf
        self._process: AgentProcess | None = None
        self._was_warm = False
        self._options, self._told, self._on_event = options, told, on_event
        self._last: Message = {}
        about = {"channel_name": info.channel_name, "call_id": info.call_id}
        self._log = logging.LoggerAdapter(logging.getLogger(__name__), about)

    @property
    def now(self) -> AgentInfo:
        """What is known of it just now: `info`, and what its process tells every second."""
        if self._process is None:
            return self.info
        return evolve(self.info, memory_bytes=self._process.memory_bytes)

    def stop(self, reason: str = "stopped", *, is_shutdown: bool = False) -> None:
        """Have it end in order; `gone` tells when it has.

        :param is_shutdown: whoever waits for it to be in its channel is told of that.
        """
        if not self._stopped:
            self._stopped, self._is_shutdown = True, is_shutdown
            self.becomes("stopping", reason=reason)
        self.scope.cancel()

    def becomes(self, state: str, **more: Any) -> None:
        """It has a new state."""
        self.info = evolve(self.info, state=state, **more)
        told = {name: value for name, value in more.items() if name in _TOLD and value != ""}
        self.tell({"type": "state", "state": state, **told})
        self.changed.set()
        self.changed = trio.Event()

    def tell(self, event: Event) -> None:
        """Something has happened."""
        try:
            self._on_event(self.info, event)
        except Exception:  # noqa: BLE001 (whoever listens fails at one event of one agent)
            self._log.exception("an event of the type %s was not taken", event.get("type"))
        if event.get("type") != "call_record":
            self.events.add(event)  # whoever listens completes that one, and adds it by itself

    async def run(
        self,
        pool: Pool,
        memory_limit: int | None,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Live. When this returns or is cancelled its last process is gone, and `gone` is set.

        :param memory_limit: bytes that its process may take; None: no limit.
        :raises StartFailed: it was not in its channel once; with the reason.
        :raises JoinTimeout: it was not there in time.
        :raises OptionsError: its options are at fault.
        """
        end = End("it was stopped before it was in its channel")
        try:
            with self.scope:
                end = await self._live(pool, memory_limit, task_status)
        # A bug in what watches one agent must not end all others.
        except* Exception as group:  # noqa: BLE001
            self._log.exception("a bug in watching the agent", exc_info=group)
            end = End("a bug in watching it: the server's log has more", "crashed", is_final=True)
        finally:
            self._over(End(self.info.reason) if self._stopped else end)
        if not self.joined:
            raise StartFailed(self.info.reason, "shutdown") if self._is_shutdown else end.error()

    async def _live(
        self,
        pool: Pool,
        memory_limit: int | None,
        task_status: trio.TaskStatus[None],
    ) -> End:
        is_second = False
        while True:
            end = await self._hold(pool, memory_limit, task_status)
            if not self.joined and self._was_warm and end.kind in _DEAD and not is_second:
                is_second = True  # it had died while it waited, which is not the call's fault
                continue
            if not end.kind or end.is_final or not self.joined:
                return end
            wait_s = self.restarts.after(trio.current_time())
            if wait_s is None:
                return end
            if self._elapsed_s + wait_s >= (self._options.max_duration_s or math.inf):
                return end
            self.becomes("restarting", reason=end.reason, kind=end.kind)
            self._log.warning("the agent failed: %s; restarted in %g s", end.reason, wait_s)
            await trio.sleep(wait_s)
            self.becomes("starting", restarts=self.info.restarts + 1)

    async def _hold(
        self, pool: Pool, memory_limit: int | None, task_status: trio.TaskStatus[None]
    ) -> End:
        """Have one process live, and take note of its end."""
        try:
            process = await pool.take()
        except OSError as error:
            return End(f"it could not be launched: {error}", "start_failed")
        process.channel_name, process.call_id = self._name, self.info.call_id
        self.info = evolve(self.info, pid=process.pid, last_log=())
        self._process, self._was_warm = process, process.warm.is_set()
        end: End | None = None
        try:
            end = await self._watched(process, memory_limit, task_status)
            return end
        finally:
            if end is None:
                self._gives_up("the start was given up")
            process.end()
            with trio.CancelScope(shield=True):
                await process.gone.wait()
            self._note_exit(process)

    async def _watched(
        self,
        process: AgentProcess,
        memory_limit: int | None,
        task_status: trio.TaskStatus[None],
    ) -> End:
        fault: Fault | None = None
        joined = trio.Event()
        end: End | None = None

        def found(what: Fault) -> None:
            nonlocal fault
            fault = fault or what

        def take(message: Message) -> None:
            self._take(message, process, joined, task_status)

        process.on_message = take
        self._last = {}
        async with trio.open_nursery() as nursery:
            call = {"options": to_plain(self._options), "elapsed_s": self._elapsed_s}
            await process.tell({**call, **self._told})
            nursery.start_soon(watch, process, memory_limit, found)
            with trio.move_on_after(JOIN_S):
                await first_of(joined, process.closed)
            if joined.is_set() or process.closed.is_set():
                await process.closed.wait()
            else:
                end = End(f"it was not in its channel within {JOIN_S:g} s", JoinTimeout.kind)
                self._gives_up(end.reason)
            nursery.cancel_scope.cancel()
        return end or await self._end(process, fault)

    def _take(
        self,
        message: Message,
        process: AgentProcess,
        joined: trio.Event,
        task_status: trio.TaskStatus[None],
    ) -> None:
        if "event" in message:
            self.tell(message["event"])
        elif message.get("state") != "running":
            self._last = message
            if not message.get("kind") and not self._stopped:
                self.becomes("stopping", reason=str(message.get("reason", "")))
        elif not (self._stopped or self._is_given_up):
            joined.set()
            self.becomes(
                "running",
                uid=int(message.get("uid", self.info.uid)),
                model=str(message.get("model")),
                embedded=bool(message.get("embedded")) or self.info.embedded,
                reason="",
                kind="",
                exit_status=None,
                killed=False,
            )
            if not self.joined:
                self.joined, self._joined_at = True, trio.current_time()
                task_status.started()

    async def _end(self, process: AgentProcess, fault: Fault | None) -> End:
        """Why a process has closed its socket."""
        with trio.move_on_after(EXIT_S):
            await process.gone.wait()
        status, last = process.exit_status, self._last
        if fault is not None:
            return End(fault.words, fault.kind)
        if last.get("reason"):
            kind = str(last.get("kind") or "")
            if not kind and status not in (0, NOBODY_CAME):
                self._log.warning("its call was over, but it exited with status %s", status)
            faults = tuple((str(path), str(words)) for path, words in last.get("faults") or ())
            return End(str(last["reason"]), kind, bool(last.get("is_final")), faults)
        if status is not None and status < 0:
            return End(f"it was killed by {signal_name(-status)}", "killed")
        said = [line for text in process.last_lines for line in text.splitlines()]
        words = said[-1] if said else "it said nothing"
        how = "does not end" if status is None else f"exited with status {status}"
        return End(f"it {how}: {words}", "crashed")

    @property
    def _elapsed_s(self) -> float:
        """Since it was in its channel."""
        return max(0.0, trio.current_time() - self._joined_at)

    def _gives_up(self, reason: str) -> None:
        """It does not get into its channel any more: another start waits for its end."""
        if not self.joined and not self._stopped:
            self._is_given_up = True
            self.becomes("stopping", reason=reason)

    def _note_exit(self, process: AgentProcess) -> None:
        self._process = None
        self.info = evolve(
            self.info,
            exit_status=process.exit_status,
            killed=process.was_killed,
            last_log=tuple(process.last_lines),
            memory_bytes=process.memory_bytes,
        )

    def _over(self, end: End) -> None:
        lines = self.info.last_log if end.kind else ()
        if end.kind:
            status = self.info.exit_status
            self._log.error("the agent failed: %s (status %s)", end.reason, status)
        self.becomes(
            "failed" if end.kind else "ended", reason=end.reason, kind=end.kind, last_log=lines
        )
        self.events.end()
        self.gone.set()
        self._log.info("the agent of channel %s is gone", self._name)

    @property
    def _name(self) -> str:
        return self.info.channel_name


_DEAD: Final = ("stuck", "killed", "crashed")
"""How a process ends that was no good from the start."""
_TOLD: Final = ("uid", "reason", "kind", "restarts")
"""What the event of a new state has beside it."""


def new_info(options: AgentOptions, *, model: str, embedded: bool) -> AgentInfo:
    """What is known of an agent that starts now."""
    return AgentInfo(
        channel_name=options.channel_name,
        call_id=secrets.token_hex(8),
        uid=options.uid,
        state="starting",
        pid=None,
        started_at=time.time(),
        model=options.model or model,
        embedded=embedded,
        metadata=options.metadata,
    )
