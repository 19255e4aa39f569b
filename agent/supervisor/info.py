"""What is known of one agent, and what may be wrong with starting one."""

from attrs import field, frozen

from agent.errors import AgentError


class AlreadyRunning(AgentError):
    """The channel has its agent already."""


class NotRunning(AgentError):
    """The channel has no agent."""


class JoinTimeout(AgentError):
    """The agent was not in its channel in time; its process is gone."""

    kind = "join_timeout"


class StartFailed(AgentError):
    """The agent ended before it was in its channel; the text says why.

    :ivar kind: of its fault, see `agent.errors.AgentError`.
    """

    def __init__(self, words: str, kind: str = "start_failed") -> None:
        super().__init__(words)
        self.kind = kind


class TooManyAgents(AgentError):
    """There are as many as there may be.

    :ivar retry_after_s: when to ask again.
    """

    kind = "limit"

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(f"{limit} agents run, and no more are allowed")
        self.retry_after_s = retry_after_s


@frozen(kw_only=True)
class AgentInfo:
    """What is known of one agent.

    :ivar call_id: names this call; no other has it.
    :ivar state: starting, running, restarting (it waits for its next start), stopping; and then
        ended, as was meant, or failed.
    :ivar pid: its process's, or that of its last one.
    :ivar started_at: seconds since 1970.
    :ivar embedded: whether it talks to the embedded model.
    :ivar reason: why it stops, or ended.
    :ivar kind: of its fault, where it failed; see `agent.errors.AgentError`.
    :ivar exit_status: of its process; negative: the signal that killed it.
    :ivar killed: it did not end when it was asked to, or was stuck, and was sent SIGKILL.
    :ivar last_log: the last lines that the process of a failed one wrote.
    :ivar restarts: how often it has failed and was started again.
    :ivar memory_bytes: resident, of its process.
    """

    channel_name: str
    call_id: str
    uid: int
    state: str
    pid: int | None
    started_at: float
    model: str
    embedded: bool
    metadata: dict[str, str] = field(factory=dict)
    reason: str = ""
    kind: str = ""
    exit_status: int | None = None
    killed: bool = False
    last_log: tuple[str, ...] = ()
    restarts: int = 0
    memory_bytes: int = 0
