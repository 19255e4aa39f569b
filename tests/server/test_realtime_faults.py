"""A fault of the embedded model's own, in one session on the server."""

import orjson
import pytest
from trio_websocket import ConnectionClosed

from agent.embedded.wire import endpoint
from agent.embedded.wire.running import Session
from tests.server.helpers import serving


async def test_it_closes_with_1011_and_ends_no_other_session(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Session):
        async def run(self) -> None:
            raise ZeroDivisionError("a fault of this program")

    url = "/v1/realtime?model=embedded"
    async with serving() as served, served.open(url) as other:
        await other.get_message()
        with monkeypatch.context() as patch:
            patch.setattr(endpoint, "Session", Faulty)
            async with served.open(url) as websocket:
                with pytest.raises(ConnectionClosed) as closed:
                    await websocket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1011
        await other.send_message('{"type": "input_audio_buffer.clear"}')
        cleared = orjson.loads(await other.get_message())
        assert cleared["type"] == "input_audio_buffer.cleared"
    assert any(record.exc_info for record in caplog.records)
