"""Call records, posted to the operator's URL.

Records wait in a bounded queue, in memory: a server that is killed loses what waits. A few are
under way at once, so that one that the receiver chokes on does not hold up the others. So they may
arrive in another order; and one may arrive twice, where a receiver took it and failed to say so:
its id is the same each time.

Neither URL nor secret is ever logged: a URL may hold a password.
"""

import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
import trio
from attrs import define, frozen

from agent.config import Settings
from agent.errors import ConfigError
from agent.extras import require
from agent.supervisor.supervisor import AgentInfo
from server.operating.metrics import Metrics
from server.operating.retries import MAX_TRIES, delay_s, is_taken, is_worth_a_retry, retry_after_s
from server.operating.signature import key_of, signed

if TYPE_CHECKING:
    import httpx2

QUEUE: Final = 1024
"""Records that wait. A server has some hundred calls at once, and a receiver that is down for
minutes is told of all of them; then the oldest are dropped."""
AT_ONCE: Final = 4
"""Deliveries that are under way: few, since the receiver is one program of the operator's."""
TRY_S: Final = 10.0
"""For one try. Receivers answer first and work then; what takes longer will not come."""
DRAIN_S: Final = 5.0
"""For what is not delivered when the server stops: one more try each. An operator waits for it."""

Event: TypeAlias = dict[str, Any]

_log = logging.getLogger(__name__)


@define
class _Delivery:
    webhook_id: str
    channel_name: str
    body: bytes
    tries: int = 0

    @property
    def about(self) -> dict[str, str]:
        """For the log, which names the call."""
        return {"channel_name": self.channel_name, "call_id": self.webhook_id}


@frozen
class _Answer:
    """What came of a try: a status, or why there is none."""

    status: int | None
    words: str
    retry_after_s: float | None = None


class Webhook:
    """Delivers records; see `open_webhook`.

    :param key: what is signed with.
    :param metrics: are told what becomes of each.
    :param clock: seconds since 1970.
    :param chance: 0 to 1, anew each time.
    """

    def __init__(
        self,
        client: "httpx2.AsyncClient",
        url: str,
        key: bytes,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client, self._url, self._key, self._metrics = client, url, key, metrics
        self._clock, self._chance = clock, chance
        self._waiting: deque[_Delivery] = deque()
        self._under_way = 0
        self._more, self._idle, self._closing = trio.Event(), trio.Event(), trio.Event()

    def put(self, info: AgentInfo, record: Event) -> None:
        """Have a record delivered; does not wait."""
        if len(self._waiting) >= QUEUE:
            lost = self._waiting.popleft()
            self._metrics.dropped("webhook")
            _log.warning("too many call records wait: one is dropped", extra=lost.about)
        self._waiting.append(_Delivery(info.call_id, info.channel_name, orjson.dumps(record)))
        self._more.set()

    async def run(self) -> None:
        """Deliver, one record after the other, for as long as the server lives."""
        while True:
            while not self._waiting:
                self._more = trio.Event()
                await self._more.wait()
            delivery = self._waiting.popleft()
            self._under_way += 1
            await self._deliver(delivery)
            self._under_way -= 1
            self._idle.set()

    async def finish(self) -> None:
        """Deliver what can still be delivered: each record that waits has one more try."""
        self._closing.set()
        with trio.move_on_after(DRAIN_S):
            while self._waiting or self._under_way:
                self._idle = trio.Event()
                await self._idle.wait()
        if lost := len(self._waiting) + self._under_way:
            _log.warning("the server stops: %d call records are not delivered", lost)

    async def _deliver(self, delivery: _Delivery) -> None:
        while True:
            answer = await self._try(delivery)
            if answer.status is not None and is_taken(answer.status):
                self._metrics.webhook("delivered")
                return
            if not self._is_worth_a_retry(delivery, answer):
                self._metrics.webhook("given_up")
                words = "a call record is given up after %d tries: %s"
                _log.error(words, delivery.tries, answer.words, extra=delivery.about)
                return
            with trio.move_on_after(delay_s(delivery.tries, self._chance(), answer.retry_after_s)):
                await self._closing.wait()

    def _is_worth_a_retry(self, delivery: _Delivery, answer: _Answer) -> bool:
        may_come = answer.status is None or is_worth_a_retry(answer.status)
        return may_come and delivery.tries < MAX_TRIES and not self._closing.is_set()

    async def _try(self, delivery: _Delivery) -> _Answer:
        import httpx2

        delivery.tries += 1
        headers = signed(self._key, delivery.webhook_id, int(self._clock()), delivery.body)
        headers["Content-Type"] = "application/json"
        try:
            with trio.fail_after(TRY_S):
                # What it says is of no interest, and not read: it could be endless.
                async with self._client.stream(
                    "POST", self._url, content=delivery.body, headers=headers
                ) as response:
                    asked = retry_after_s(response.headers.get("Retry-After"), self._clock())
                    return _Answer(response.status_code, f"status {response.status_code}", asked)
        except trio.TooSlowError:
            return _Answer(None, f"no answer within {TRY_S:g} s")
        except RuntimeError as error:
            return _Answer(None, f"it cannot be tried: {error}")  # no thread to look its name up
        except httpx2.TransportError as error:
            # Its own words could name the URL.
            return _Answer(None, type(error).__name__)


@asynccontextmanager
async def open_webhook(
    settings: Settings, metrics: Metrics, transport: "httpx2.AsyncBaseTransport | None" = None
) -> AsyncIterator[Callable[[AgentInfo, Event], None]]:
    """What takes call records for the webhook; where none is set it takes them and does nothing.

    When the context exits, what waits has some seconds.

    :param transport: takes the place of the network.
    :raises ConfigError: the secret can be none; see `check_webhook`.
    """
    if settings.webhook_url is None:
        yield _nowhere
        return
    import httpx2

    # No proxies and no credentials from the environment: settings are read in one place.
    client = httpx2.AsyncClient(transport=transport, timeout=TRY_S, trust_env=False)
    key = key_of(settings.webhook_secret or "")
    async with client, trio.open_nursery() as nursery:
        webhook = Webhook(client, settings.webhook_url, key, metrics)
        for _ in range(AT_ONCE):
            nursery.start_soon(webhook.run)
        yield webhook.put
        await webhook.finish()
        nursery.cancel_scope.cancel()


def check_webhook(settings: Settings) -> None:
    """Find out now what would be wrong with the first record.

    :raises ConfigError: the URL or the secret can be none, there is no secret, or the extra is
        not installed.
    """
    if settings.webhook_url is None:
        return
    require("webhook", "or unset WEBHOOK_URL")
    import httpx2

    try:
        # Seen: a host that the client takes and the resolver cannot even encode.
        httpx2.URL(settings.webhook_url).raw_host.decode().encode("idna")
    except (httpx2.InvalidURL, UnicodeError):
        raise ConfigError("WEBHOOK_URL: can be no URL") from None  # its own words show some of it
    if settings.webhook_secret is None:
        raise ConfigError("WEBHOOK_SECRET: is not set, and WEBHOOK_URL needs it")
    key_of(settings.webhook_secret)


def _nowhere(_: AgentInfo, __: Event) -> None:
    pass
