"""`/metrics`: what a scrape reads, by the reference's own parser."""

from typing import Any

import pytest
from attrs import evolve, frozen
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from agent.config import Settings
from agent.figures import Figures
from server.operating.failures import FAILURES, kind_of
from server.operating.metrics import Metrics
from server.operating.records import Records
from tests.server.helpers import OWN_KEY, make_app
from tests.server.operating.test_records import INFO

Samples = dict[str, float]


@frozen
class Agent:
    """What is measured of one."""

    state: str
    memory_bytes: int | None


def read(metrics: Metrics) -> Samples:
    text, _ = metrics.exposition("")
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of_ours(metrics: Metrics) -> Samples:
    """What is not 0, without the buckets and the times at which the counters were made."""
    return {
        name.removeprefix("voice_agent_"): value
        for name, value in read(metrics).items()
        if name.startswith("voice_agent_") and value and "_bucket" not in name
        if not name.split("/")[0].endswith("_created")
    }


class Server:
    """The figures of a server, told what its supervisor tells."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self._records = Records([], grew=self.metrics.grew)

    def tell(self, type_: str, call_id: str = "c1", **fields: Any) -> None:
        info, event = evolve(INFO, call_id=call_id), {"type": type_, **fields}
        self.metrics.take(event, kind_of(info, event))
        self._records.take(info, event)


def test_a_run_of_events() -> None:
    server = Server()
    for call_id in ("c1", "c2"):
        server.tell("state", call_id, state="starting")
        server.tell("state", call_id, state="running")
    server.tell("turn", latency_ms=450.0)
    server.tell("turn", "c2", latency_ms=1450.0)
    server.tell("barge_in", latency_ms=2.0, cause="speech")
    counted: dict[str, Any] = {"turns": 2, "tokens": 30, "input_tokens": 10, "output_tokens": 15}
    server.tell("metrics", **counted, audio_dropped=4, data_dropped=1)
    server.tell("metrics", "c2", turns=1)
    server.tell("metrics", **(counted | {"turns": 3}), audio_dropped=4, data_dropped=1)
    server.tell("events_dropped", count=3)
    server.tell("transcript", text="...")
    server.tell("state", state="restarting", kind="crashed")
    server.tell("state", state="starting", restarts=1)
    server.tell("state", state="running")
    server.tell("metrics", turns=1)
    server.tell("state", state="failed", kind="stuck")
    server.tell("state", "c2", state="ended")
    assert of_ours(server.metrics) == {
        "starts_total": 3,
        "restarts_total": 1,
        "joins_total": 3,
        "failures_total/crashed": 1,
        "failures_total/stuck": 1,
        "turns_total": 5,
        "tokens_total/input": 10,
        "tokens_total/output": 15,
        "tokens_total/unknown": 5,
        "dropped_total/audio": 4,
        "dropped_total/data": 1,
        "dropped_total/events": 3,
        "turn_latency_seconds_count": 2,
        "turn_latency_seconds_sum": pytest.approx(1.9),
        "barge_in_latency_seconds_count": 1,
        "barge_in_latency_seconds_sum": pytest.approx(0.002),
    }
    buckets = read(server.metrics)
    assert buckets["voice_agent_turn_latency_seconds_bucket/0.4"] == 0
    assert buckets["voice_agent_turn_latency_seconds_bucket/0.5"] == 1
    assert buckets["voice_agent_barge_in_latency_seconds_bucket/0.0025"] == 1


def test_the_agents_that_there_are() -> None:
    metrics, agents = Metrics(), [Agent("running", 100), Agent("running", 300)]
    metrics.look_at(lambda: agents, lambda: 7)
    agents.append(Agent("starting", None))
    assert of_ours(metrics) == {
        "calls/running": 2,
        "calls/starting": 1,
        "agents_memory_bytes": 400,
        "largest_agent_memory_bytes": 300,
        "relay_dropped_total": 7,
    }
    assert read(metrics)["voice_agent_calls/stopping"] == 0
    agents.clear()
    assert of_ours(metrics) == {"relay_dropped_total": 7}


def test_the_servers_own_memory_and_files_are_told() -> None:
    samples = read(Metrics())
    assert samples["process_resident_memory_bytes"] > 1e6
    assert samples["process_open_fds"] > 1


def test_every_series_is_there_from_the_start_and_no_label_is_a_callers() -> None:
    server = Server()
    before = set(read(server.metrics))
    assert {f"voice_agent_failures_total/{kind}" for kind in FAILURES} <= before
    server.tell("state", state="running")
    server.tell("state", state="failed", kind="of another sort")
    server.tell("metrics", turns=1)
    assert set(read(server.metrics)) == before


def test_two_servers_of_one_process_count_for_themselves() -> None:
    one, other = Server(), Server()
    one.tell("state", state="starting")
    assert of_ours(other.metrics) == {}


@pytest.mark.parametrize(
    ("fields", "exit_status", "kind"),
    [
        ({"kind": "join_timeout"}, None, "join_timeout"),
        ({"kind": "memory"}, -9, "memory"),
        ({}, -9, "killed"),
        ({}, 2, "config"),
        ({}, -11, "crashed"),
        ({"kind": "nonsense"}, 1, "crashed"),
    ],
)
def test_the_kind_of_a_failure(fields: dict[str, str], exit_status: int | None, kind: str) -> None:
    assert kind_of(evolve(INFO, exit_status=exit_status), fields) == kind


# -- over HTTP -------------------------------------------------------------------------------------


async def test_prometheus_reads_it() -> None:
    response = await make_app().test_client().get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert response.headers["Cache-Control"] == "no-store"
    names = {
        family.name
        for family in text_string_to_metric_families(await response.get_data(as_text=True))
    }
    assert {"voice_agent_starts", "voice_agent_calls", "process_open_fds"} <= names


async def test_openmetrics_where_it_is_asked_for() -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    response = await make_app().test_client().get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1")
    text = await response.get_data(as_text=True)
    assert "voice_agent_turn_latency_seconds" in {f.name for f in openmetrics_families(text)}  # type: ignore[no-untyped-call]


async def test_metrics_want_the_key() -> None:
    client = make_app(Settings(openai_api_key="k", server_api_key="right")).test_client()
    assert (await client.get("/metrics")).status_code == 401
    headers = {"Authorization": f"Bearer {OWN_KEY}"}
    assert (await client.get("/metrics", headers=headers)).status_code == 200


def test_what_else_is_counted() -> None:
    metrics = Metrics()
    metrics.grew(Figures(turns=1, interruptions=1, tool_calls=1, malformed_events=1, underruns=1))
    assert set(of_ours(metrics)) == {
        "turns_total",
        "interruptions_total",
        "tool_calls_total",
        "malformed_events_total",
        "underruns_total",
    }
