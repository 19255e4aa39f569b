"""The server's figures and its agents', for Prometheus.

No label has a value that a caller chooses: channels, calls and models would be series without
number. Counters are the server's own and only grow, whatever becomes of the agents that they
count: what an agent tells, cumulative since its start, is added by its growth (see `records`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.figures import Figures
from server.operating.failures import FAILURES

Event: TypeAlias = dict[str, Any]

STATES: Final = ("starting", "running", "stopping", "restarting")
"""Of an agent that there is."""
TURN_S: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Bounds of the buckets: people take half a second for a quick answer and two seconds for a slow
one; an answer that is due is given up after 30."""
BARGE_IN_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""A barge-in takes a millisecond within the agent; what takes 50 is heard."""
_QUEUES: Final = {"audio": "audio_dropped", "data": "data_dropped"}
_COUNTED: Final = {
    "turns": "Turns of people's.",
    "interruptions": "Times that a person or a program interrupted an agent.",
    "tool_calls": "Calls of tools.",
    "malformed_events": "Malformed events of models', dropped.",
    "underruns": "Times that playout ran dry in the midst of an utterance.",
}


class Running(Protocol):
    """What is measured of an agent that there is."""

    @property
    def state(self) -> str:
        """One of `STATES`."""

    @property
    def memory_bytes(self) -> int | None:
        """Of its process, where it is known."""


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # Memory, CPU, open files and start time of this process, on Linux.
        ProcessCollector(registry=self._registry)
        self._starts = self._counter("starts", "Agent processes that were started for calls.")
        self._restarts = self._counter("restarts", "Of these, in the place of one that failed.")
        self._joins = self._counter("joins", "Agents that got into their channel.")
        self._failures = self._counter("failures", "Agents that failed.", "kind", FAILURES)
        queues = (*_QUEUES, "events", "webhook")
        self._dropped = self._counter("dropped", "What full queues have dropped.", "queue", queues)
        self._tokens = self._counter(
            "tokens", "Tokens of models'.", "direction", ("input", "output", "unknown")
        )
        self._counted = {name: self._counter(name, words) for name, words in _COUNTED.items()}
        self._webhooks = self._counter(
            "webhooks", "Call records for the webhook.", "outcome", ("delivered", "given_up")
        )
        self._turn = self._histogram(
            "turn_latency", "From the end of a person's turn to its answer's first frame.", TURN_S
        )
        self._barge_in = self._histogram(
            "barge_in_latency", "From the event that interrupts to silence.", BARGE_IN_S
        )

    def look_at(self, running: Callable[[], Sequence[Running]], relayed: Callable[[], int]) -> None:
        """What is asked for whenever somebody reads.

        :param running: the agents that there are.
        :param relayed: how much audio the members of local channels were too slow for.
        """
        self._registry.register(_Now(running, relayed))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All figures as text, and its content type.

        :param accept: of the request: OpenMetrics where it asks for that.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def take(self, event: Event, kind: str) -> None:
        """One event of an agent, or of its supervisor about it.

        :param kind: of the failure, if it is one.
        """
        match event.get("type"):
            case "state":
                self._take_state(event.get("state"), kind, again="restarts" in event)
            case "turn":
                self._turn.observe(event["latency_ms"] / 1000)
            case "barge_in":
                self._barge_in.observe(event["latency_ms"] / 1000)
            case "events_dropped":
                self.dropped("events", event["count"])

    def grew(self, growth: Figures) -> None:
        """The figures of a call have grown by so much."""
        for name, counter in self._counted.items():
            counter.inc(getattr(growth, name))
        for queue, name in _QUEUES.items():
            self.dropped(queue, getattr(growth, name))
        known = growth.input_tokens + growth.output_tokens
        self._tokens.labels("input").inc(growth.input_tokens)
        self._tokens.labels("output").inc(growth.output_tokens)
        self._tokens.labels("unknown").inc(max(0, growth.tokens - known))

    def dropped(self, queue: str, count: int = 1) -> None:
        """A queue was full: `audio`, `data`, `events` or `webhook`."""
        self._dropped.labels(queue).inc(count)

    def webhook(self, outcome: str) -> None:
        """A call record was `delivered`, or is `given_up`."""
        self._webhooks.labels(outcome).inc()

    def _take_state(self, state: object, kind: str, *, again: bool) -> None:
        match state:
            case "starting":
                self._starts.inc()
                self._restarts.inc(again)
            case "restarting":
                self._failures.labels(kind).inc()
            case "running":
                self._joins.inc()
            case "failed":
                self._failures.labels(kind).inc()

    def _counter(
        self, name: str, words: str, label: str | None = None, values: Iterable[str] = ()
    ) -> Counter:
        labels = [] if label is None else [label]
        counter = Counter(f"voice_agent_{name}", words, labels, registry=self._registry)
        for value in values:
            counter.labels(value)  # there from the start, at 0: a rate needs a value before
        return counter

    def _histogram(self, name: str, words: str, bounds: Sequence[float]) -> Histogram:
        return Histogram(
            f"voice_agent_{name}_seconds", words, buckets=bounds, registry=self._registry
        )


class _Now(Collector):
    """What is counted when somebody reads."""

    def __init__(
        self, running: Callable[[], Sequence[Running]], relayed: Callable[[], int]
    ) -> None:
        self._running, self._relayed = running, relayed

    def collect(self) -> Iterator[Metric]:
        """The agents that there are, by their state, their memory, and the relay's drops."""
        yield CounterMetricFamily(
            "voice_agent_relay_dropped",
            "Messages of audio that members of local channels were too slow for.",
            self._relayed(),
        )
        agents = self._running()
        calls = GaugeMetricFamily("voice_agent_calls", "Agents that there are.", labels=["state"])
        for state in STATES:
            calls.add_metric([state], sum(agent.state == state for agent in agents))
        yield calls
        memory = [agent.memory_bytes or 0 for agent in agents]
        yield GaugeMetricFamily(
            "voice_agent_agents_memory_bytes", "Memory of all agent processes.", sum(memory)
        )
        yield GaugeMetricFamily(
            "voice_agent_largest_agent_memory_bytes",
            "Memory of the largest agent process.",
            max(memory, default=0),
        )
