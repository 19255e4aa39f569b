"""Call records on their way to the operator: signed, tried again, given up, never in the way."""

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import trio
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families
from quart import Response, request
from quart_trio import QuartTrio
from trio.testing import MockClock

from agent.config import Settings
from agent.errors import ConfigError
from agent.listening import authority
from server.connections.listening import open_listener
from server.connections.serving import Door, open_server
from server.operating import webhook
from server.operating.metrics import Metrics
from server.operating.retries import delay_s, retry_after_s
from server.operating.signature import key_of, signed
from server.operating.webhook import Webhook, check_webhook, open_webhook
from tests.server.helpers import LIMIT_S, PER_CLIENT
from tests.server.operating.test_records import INFO, expected

SECRET = "sixteen-bytes-of-secret"
RECORD = {"type": "call_record", "call_id": "c1", "reason": "the person left"}
URL = "https://user:hunter2@example.com/records"
SETTINGS = Settings(webhook_url=URL, webhook_secret=SECRET)
NOW = 1_795_000_000.0


class Receiver:
    """A receiver that answers as it is told, in the order of its answers; then with 204.

    :ivar got: when each try came, and its request.
    """

    def __init__(self, *answers: int | httpx2.Response | Exception | float) -> None:
        self.got: list[tuple[float, httpx2.Request]] = []
        self._answers = list(answers)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.got.append((trio.current_time(), request))
        answer = self._answers.pop(0) if self._answers else 204
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await trio.sleep(answer)
            answer = 204
        return httpx2.Response(answer) if isinstance(answer, int) else answer

    @property
    def gaps(self) -> list[float]:
        """Seconds between the tries."""
        times = [at for at, _ in self.got]
        return [round(b - a, 3) for a, b in pairwise(times)]

    @property
    def ids(self) -> list[str]:
        return [request.headers["Webhook-Id"] for _, request in self.got]


def counted(metrics: Metrics) -> dict[str, float]:
    text, _ = metrics.exposition("")
    return {
        str(next(iter(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name in ("voice_agent_webhooks_total", "voice_agent_dropped_total")
        and sample.value
    }


class Posting:
    """A webhook that runs."""

    def __init__(self, put: Callable[..., None], metrics: Metrics) -> None:
        self.metrics = metrics
        self._put = put

    def put(self, call_id: str = "c1") -> None:
        self._put(evolve(INFO, call_id=call_id), RECORD | {"call_id": call_id})

    @property
    def counted(self) -> dict[str, float]:
        return counted(self.metrics)


@asynccontextmanager
async def posting(receiver: Receiver) -> AsyncIterator[Posting]:
    """Jitter is at its most, and the wall clock stands still."""
    metrics = Metrics()
    with pytest.MonkeyPatch.context() as patch:
        exact = partial(Webhook, clock=lambda: NOW, chance=lambda: 1.0)
        patch.setattr(webhook, "Webhook", exact)
        transport = httpx2.MockTransport(receiver)
        async with open_webhook(SETTINGS, metrics, transport) as put:
            yield Posting(put, metrics)


# -- one delivery ----------------------------------------------------------------------------------


async def test_a_record_is_posted_once_and_signed(autojump_clock: MockClock) -> None:
    receiver = Receiver()
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(1000)
        [(_, got)] = receiver.got
        assert got.method == "POST"
        assert got.headers["Content-Type"] == "application/json"
        assert orjson.loads(got.content) == RECORD
        assert got.headers["Webhook-Id"] == "c1"
        assert got.headers["Webhook-Timestamp"] == "1795000000"
        # As the README tells receivers to do it.
        text = b"c1.1795000000." + got.content
        digest = base64.b64encode(hmac.digest(SECRET.encode(), text, hashlib.sha256))
        assert got.headers["Webhook-Signature"] == f"v1,{digest.decode()}"
        assert hook.counted == {"delivered": 1}


@pytest.mark.parametrize(
    "answer", [500, 503, 599, 429, httpx2.ConnectError("no"), httpx2.ReadTimeout("no"), 11.0]
)
async def test_what_may_pass_is_tried_again(
    answer: int | Exception | float, autojump_clock: MockClock
) -> None:
    receiver = Receiver(answer)
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(1000)
        assert receiver.gaps == [11.0 if answer == 11.0 else 1.0]
        assert receiver.ids == ["c1", "c1"]
        assert hook.counted == {"delivered": 1}


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301, 307])
async def test_what_will_not_pass_is_given_up_at_once(
    status: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = httpx2.Response(status, headers={"Location": "https://elsewhere.example/"})
    receiver = Receiver(answer)
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(1000)
        assert len(receiver.got) == 1
        assert hook.counted == {"given_up": 1}
    [line] = [record for record in caplog.records if record.name == "server.operating.webhook"]
    assert line.getMessage() == f"a call record is given up after 1 tries: status {status}"
    assert (line.channel_name, line.call_id) == ("lobby", "c1")  # type: ignore[attr-defined]


async def test_it_is_given_up_after_a_number_of_tries_with_one_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = Receiver(*[httpx2.ConnectError("https://user:hunter2@example.com")] * 50)
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(10_000)
        assert receiver.gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert hook.counted == {"given_up": 1}
    [line] = [record for record in caplog.records if record.name == "server.operating.webhook"]
    assert line.getMessage() == "a call record is given up after 10 tries: ConnectError"
    assert "hunter2" not in caplog.text


async def test_a_machine_without_threads_ends_no_server(autojump_clock: MockClock) -> None:
    """A host's name is looked up on one."""
    receiver = Receiver(RuntimeError("can't start new thread"))
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(10)
        assert hook.counted == {"delivered": 1}


@pytest.mark.parametrize(
    ("header", "gap"),
    [
        ("7", 7.0),
        ("0", 1.0),  # never sooner than by ourselves
        ("86400", 300.0),
        ("Wed, 18 Nov 2026 11:06:50 GMT", 10.0),  # 10 s after NOW
        ("Wed, 18 Nov 2020 13:46:50 GMT", 1.0),
        ("soon", 1.0),
    ],
)
async def test_a_receiver_may_say_when(header: str, gap: float, autojump_clock: MockClock) -> None:
    receiver = Receiver(httpx2.Response(429, headers={"Retry-After": header}))
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(1000)
        assert receiver.gaps == [gap]


async def test_an_endless_answer_is_not_read(autojump_clock: MockClock) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await trio.sleep(1)
            yield b"more"

    receiver = Receiver(httpx2.Response(200, content=endless()))
    async with posting(receiver) as hook:
        hook.put()
        await trio.sleep(1)
        assert hook.counted == {"delivered": 1}


def test_tries_of_many_senders_are_spread() -> None:
    assert delay_s(3, 0.0, None) == 2.0
    assert delay_s(3, 1.0, None) == 4.0
    assert delay_s(300, 1.0, None) == 60.0
    assert retry_after_s(None, NOW) is None
    assert retry_after_s("9" * 5000, NOW) is None
    assert retry_after_s("Mon, 01 Jan 99999999999999 00:00:00 GMT", NOW) is None
    assert retry_after_s("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", NOW) is None


# -- many ------------------------------------------------------------------------------------------


async def test_one_that_is_stuck_does_not_hold_up_the_others(autojump_clock: MockClock) -> None:
    async def only_c1_fails(request: httpx2.Request) -> httpx2.Response:
        await receiver(request)
        return httpx2.Response(500 if request.headers["Webhook-Id"] == "c1" else 200)

    receiver = Receiver()
    async with posting(only_c1_fails) as hook:  # type: ignore[arg-type]  # it is called as one
        hook.put()
        for number in range(2, 20):
            hook.put(f"c{number}")
        await trio.sleep(0.5)
        assert hook.counted == {"delivered": 18}


async def test_when_too_many_wait_the_oldest_are_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "QUEUE", 3)
    receiver = Receiver()
    async with posting(receiver) as hook:
        for number in range(1, 6):
            hook.put(f"c{number}")
        await trio.sleep(1)
        assert sorted(receiver.ids) == ["c3", "c4", "c5"]
        assert hook.counted == {"webhook": 2, "delivered": 3}
    lost = [record.call_id for record in caplog.records if "dropped" in record.getMessage()]  # type: ignore[attr-defined]
    assert lost == ["c1", "c2"]


# -- the server stops ------------------------------------------------------------------------------


async def test_at_the_end_each_has_one_more_try(autojump_clock: MockClock) -> None:
    receiver = Receiver(503, 503, 503)
    async with posting(receiver) as hook:
        for number in range(1, 8):
            hook.put(f"c{number}")
        await trio.sleep(0.1)
        stopped_at = trio.current_time()
    assert trio.current_time() == stopped_at
    assert sorted(set(receiver.ids)) == [f"c{number}" for number in range(1, 8)]
    assert hook.counted == {"delivered": 7}


async def test_at_the_end_a_receiver_that_hangs_is_left(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(*[100.0] * 9)
    async with posting(receiver) as hook:
        for number in range(1, 8):
            hook.put(f"c{number}")
        stopped_at = trio.current_time()
    assert trio.current_time() - stopped_at == 5.0
    assert "the server stops: 7 call records are not delivered" in caplog.text


# -- configuration ---------------------------------------------------------------------------------


async def test_without_a_url_records_go_nowhere() -> None:
    async with open_webhook(Settings(), Metrics()) as put:
        put(INFO, RECORD)
    check_webhook(Settings(webhook_secret=""))


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (None, "is not set"),
        ("hunter2", "16 bytes"),
        ("whsec_hunter2!", "base64"),
        ("whsec_aHVudGVyMg==", "16 bytes"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"\AWEBHOOK_SECRET: .*{words}") as caught:
        check_webhook(Settings(webhook_url=URL, webhook_secret=secret))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://a..b/hunter2", "https://\u00e9..b/hunter2", "https://256.1.1.1/hunter2"]
)
def test_a_url_that_no_client_takes_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\AWEBHOOK_URL: ") as caught:
        check_webhook(Settings(webhook_url=url, webhook_secret=SECRET))
    assert "hunter2" not in str(caught.value)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.extras.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"extra webhook is not installed.*WEBHOOK_URL"):
        check_webhook(SETTINGS)


def test_the_conventions_own_example() -> None:
    """The secret, message and signature that its specification gives."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["Webhook-Signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_receivers_can_do_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    [code] = re.findall(r"```python\n(import base64, .*?)```", readme, re.DOTALL)
    space: dict[str, Any] = {}
    exec(code, space)  # it is our own
    monkeypatch.setattr("time.time", lambda: NOW + 200)
    for secret in (SECRET, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        headers = signed(key_of(secret), "c1", int(NOW), b"{}")
        assert space["is_genuine"](secret, headers, b"{}")
        assert not space["is_genuine"](secret, headers, b"{ }")
        assert not space["is_genuine"](f"{SECRET}2", headers, b"{}")
        old = signed(key_of(secret), "c1", int(NOW - 200), b"{}")
        assert not space["is_genuine"](secret, old, b"{}")
    [shown] = re.findall(r"```json\n({\"type\": \"call_record\".*?)```", readme, re.DOTALL)
    assert list(orjson.loads(shown)) == list(expected())


# -- for real --------------------------------------------------------------------------------------


async def test_over_a_real_connection() -> None:
    app, got = QuartTrio(__name__), trio.Event()
    seen: dict[str, Any] = {}

    @app.post("/records")
    async def records() -> Response:
        seen.update(authorization=request.authorization, headers=dict(request.headers))
        seen["body"] = await request.get_data()
        got.set()
        return Response(status=204)

    listener = open_listener("127.0.0.1", 0, has_keys=False)
    with trio.fail_after(LIMIT_S):
        async with open_server(Door(listener), per_client=PER_CLIENT) as server:
            server.start(app)
            url = f"http://user:hunter2@{authority(listener)}/records"
            settings = Settings(webhook_url=url, webhook_secret=SECRET)
            async with open_webhook(settings, Metrics()) as put:
                put(INFO, RECORD)
                await got.wait()
    assert orjson.loads(seen["body"]) == RECORD
    assert seen["authorization"].password == "hunter2"
    headers = seen["headers"]
    expected = signed(SECRET.encode(), "c1", int(headers["Webhook-Timestamp"]), seen["body"])
    assert headers["Webhook-Signature"] == expected["Webhook-Signature"]
