"""One record of each call, whatever became of its agent."""

from typing import Any

import pytest
from attrs import evolve

from agent.call_record import CallRecord
from agent.figures import Figures
from agent.supervisor.supervisor import AgentInfo
from server.operating.records import Records

Event = dict[str, Any]

INFO = AgentInfo(
    channel_name="lobby",
    call_id="c1",
    uid=42,
    state="running",
    pid=4711,
    started_at=990.0,
    model="a-model",
    embedded=False,
    metadata={"order": "7"},
)


class Told:
    """The records of a server whose agents say what the test says, at the time that it says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.records: list[tuple[str, Event]] = []
        self.growth: list[Figures] = []
        self._taker = Records(
            [lambda info, record: self.records.append((info.call_id, record))],
            grew=self.growth.append,
            clock=lambda: self.now,
        )

    def state(self, state: str, info: AgentInfo = INFO) -> None:
        self._taker.take(evolve(info, state=state), {"type": "state", "state": state})

    def metrics(self, info: AgentInfo = INFO, **figures: int) -> None:
        self._taker.take(info, Figures(**figures).event())

    def record(self, info: AgentInfo = INFO, **fields: Any) -> None:
        self._taker.take(info, {"type": "call_record", **fields})


def expected(**fields: Any) -> Event:
    record = CallRecord(
        call_id="c1",
        channel_name="lobby",
        model="a-model",
        embedded=False,
        metadata={"order": "7"},
        reason="the person left",
        exit_status=0,
        started_at=1000.0,
        ended_at=1060.0,
    )
    return evolve(record, **fields).event()


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_agent_that_sums_itself_up(told: Told) -> None:
    told.state("starting")
    told.state("running")
    told.metrics(turns=2, tokens=10)
    told.metrics(turns=5, tokens=30)
    told.record(reason="the person left", exit_status=0, ended_at=1060.0)
    told.now = 1061.5  # its process took a while to end
    assert told.records == []
    told.state("stopping")
    told.state("ended")
    assert told.records == [("c1", expected(figures=Figures(turns=5, tokens=30)))]


def test_an_agent_that_crashed_is_summed_up_by_the_server(told: Told) -> None:
    told.state("starting")
    told.state("running")
    told.metrics(turns=2, tokens=10)
    told.now = 1030.0
    told.state("failed", evolve(INFO, reason="killed by SIGSEGV", exit_status=-11))
    [(_, record)] = told.records
    assert record == expected(
        reason="killed by SIGSEGV",
        exit_status=-11,
        ended_at=1030.0,
        figures=Figures(turns=2, tokens=10),
    )
    assert record["duration_s"] == 30.0


def test_what_the_supervisor_knows_of_the_end_goes_before_what_the_agent_says(told: Told) -> None:
    told.state("running")
    told.record(reason="stopped by SIGTERM", exit_status=0, ended_at=1060.0)
    told.state("failed", evolve(INFO, reason="too much memory", exit_status=-9))
    [(_, record)] = told.records
    assert (record["reason"], record["exit_status"]) == ("too much memory", -9)


def test_a_call_that_went_on_in_another_process_has_one_record_of_both(told: Told) -> None:
    told.state("running")
    told.metrics(turns=5, longest_data_queue=3)
    told.record(reason="a bug", exit_status=1, ended_at=1010.0)
    told.now = 1010.0
    told.state("restarting")
    told.state("running")
    told.metrics(turns=7, longest_data_queue=2)  # more than the one before had: not a growth of 2
    told.now = 1060.0
    told.state("ended", evolve(INFO, reason="the person left", exit_status=0))
    figures = Figures(turns=12, longest_data_queue=3)
    assert told.records == [("c1", expected(figures=figures))]
    assert [growth.turns for growth in told.growth] == [5, 7]


def test_the_end_is_told_once(told: Told) -> None:
    told.state("running")
    told.state("ended")
    told.state("ended")
    told.state("failed")
    assert len(told.records) == 1


def test_an_agent_that_was_never_in_its_channel_was_no_call(told: Told) -> None:
    told.state("starting")
    told.state("failed")
    assert told.records == []


def test_calls_are_kept_apart(told: Told) -> None:
    other = evolve(INFO, call_id="c2")
    told.state("running")
    told.state("running", other)
    told.metrics(turns=3)
    told.metrics(other, turns=1)
    told.state("ended", other)
    told.state("ended")
    assert [(name, record["turns"]) for name, record in told.records] == [("c2", 1), ("c1", 3)]
    assert [growth.turns for growth in told.growth] == [3, 1]
