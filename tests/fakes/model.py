"""Both ends of the model's WebSocket in memory: the real protocol, no socket, any clock."""

import base64
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import trio
from trio.testing import memory_stream_pair
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)

from agent.streams.model import MAX_MESSAGE
from tests.official import official_client_event

PATH = "/v1/realtime?model=gpt-realtime-2.1"
ITEM = {"type": "message", "role": "assistant", "content": [], "id": "item_1"}


@asynccontextmanager
async def memory_websocket(
    serve: Callable[[trio.abc.Stream], Awaitable[object]], path: str = PATH
) -> AsyncIterator[WebSocketConnection]:
    """A client's WebSocket whose other end is served by a function that takes a stream."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs)
        yield await wrap_client_stream(
            nursery,
            ours,  # type: ignore[arg-type]  # any stream will do, whatever its annotation says
            "model",
            path,
            max_message_size=MAX_MESSAGE,
            receive_buffer_size=2**16,
        )
        nursery.cancel_scope.cancel()


class ScriptedModel:
    """A model that does what a test says, event by event, and takes what is official only.

    :ivar got: the client's events, in order, without its audio appends.
    :ivar appends: when audio was appended, and how many samples.
    :ivar closed_with: the code that the client closed the socket with.
    """

    def __init__(self, *, session: dict[str, Any] | None = None) -> None:
        self.got: list[dict[str, Any]] = []
        self.appends: list[tuple[float, int]] = []
        self.changed = trio.Event()
        self.closed_with: int | None = None
        self._session = session or {"type": "realtime", "id": "sess_1"}
        self._websocket: WebSocketConnection | None = None
        self._ids = itertools.count(1)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one client: configure its session, then keep what it sends."""
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            self._websocket = await request.accept()
            await self.send("session.created", session=self._session)
            try:
                while True:
                    await self._take(official_client_event(await self._websocket.get_message()))
            except ConnectionClosed as error:
                self.closed_with = error.reason.code if error.reason else None
                self.changed.set()

    async def send(self, type_: str, **fields: Any) -> None:
        """Send one event."""
        assert self._websocket is not None
        event = {"type": type_, "event_id": f"event_{next(self._ids)}", **fields}
        await self._websocket.send_message(orjson.dumps(event).decode())

    async def raw(self, message: str | bytes) -> None:
        """Send what may be no event at all, as text or binary."""
        assert self._websocket is not None
        await self._websocket.send_message(message)

    async def close(self, code: int, reason: str) -> None:
        """Close the socket."""
        assert self._websocket is not None
        await self._websocket.aclose(code, reason)

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until a condition on what came holds; the test's own deadline bounds it."""
        while not wanted():
            self.changed = trio.Event()
            await self.changed.wait()

    def of_type(self, type_: str) -> list[dict[str, Any]]:
        """The client's events of one type."""
        return [event for event in self.got if event["type"] == type_]

    async def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "input_audio_buffer.append":
            samples = len(base64.b64decode(event["audio"])) // 2
            self.appends.append((trio.current_time(), samples))
        else:
            self.got.append(event)
        if event["type"] == "session.update":
            # As the service does: what an update leaves out stays as it was, inside of objects too.
            self._session = _merged(self._session, event["session"])
            await self.send("session.updated", session=self._session)
        self.changed.set()

    # -- parts of an answer --------------------------------------------------------------------

    async def begin(self, response: str = "resp_1", item: str = "item_1") -> None:
        """A response and its spoken item begin."""
        await self.send("response.created", response={"id": response, "status": "in_progress"})
        await self.begin_item(response, item)

    async def begin_item(self, response: str, item: str, index: int = 0) -> None:
        """One more spoken item of a response."""
        await self.send(
            "response.output_item.added",
            response_id=response,
            output_index=index,
            item=ITEM | {"id": item, "status": "in_progress"},
        )

    async def audio(
        self, ms: int, response: str = "resp_1", item: str = "item_1", index: int = 0
    ) -> None:
        """A delta of so many milliseconds; its samples all have the value 1000."""
        pcm = (1000).to_bytes(2, "little") * (24 * ms)
        await self.send(
            "response.output_audio.delta",
            response_id=response,
            item_id=item,
            output_index=index,
            content_index=0,
            delta=base64.b64encode(pcm).decode(),
        )

    async def words(self, text: str, response: str = "resp_1", item: str = "item_1") -> None:
        """A delta of the transcript."""
        await self.send(
            "response.output_audio_transcript.delta",
            response_id=response,
            item_id=item,
            output_index=0,
            content_index=0,
            delta=text,
        )

    async def end_item(
        self,
        response: str = "resp_1",
        item: str = "item_1",
        index: int = 0,
        transcript: str = "",
        status: str = "completed",
    ) -> None:
        """The item has all its audio."""
        where = {
            "response_id": response,
            "item_id": item,
            "output_index": index,
            "content_index": 0,
        }
        await self.send("response.output_audio.done", **where)
        await self.send("response.output_audio_transcript.done", **where, transcript=transcript)
        await self.send(
            "response.output_item.done",
            response_id=response,
            output_index=index,
            item=ITEM | {"id": item, "status": status},
        )

    async def end(self, response: str = "resp_1", status: str = "completed") -> None:
        """The response is over."""
        await self.send(
            "response.done",
            response={"id": response, "status": status, "usage": {"total_tokens": 10}},
        )

    async def answer(self, ms: int, response: str = "resp_1", item: str = "item_1") -> None:
        """A whole answer, sent at once as the real service nearly does."""
        await self.begin(response, item)
        for at in range(0, ms, 250):
            await self.audio(min(250, ms - at), response, item)
        await self.end_item(response, item)
        await self.end(response)

    async def speech_started(self, item: str = "item_user") -> None:
        """The person speaks."""
        await self.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)

    async def speech_stopped(self, item: str = "item_user") -> None:
        """The person's turn is over."""
        await self.send("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=item)
        await self.send("input_audio_buffer.committed", item_id=item)


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {name: _merged(old.get(name), value) for name, value in new.items()}
