"""A local channel with one talking person in it: as much of the server's as an agent needs."""

from itertools import count
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from bench.audio import FRAME_S, numbered_frame

_AGENT: Final = 1
_PERSON: Final = 7


async def relay(websocket: WebSocketConnection) -> None:
    """Be the channel until the agent leaves it."""
    await websocket.send_message(f'{{"control":"members","uid":{_AGENT},"uids":[{_PERSON}]}}')
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_speak, websocket)
            while True:
                await websocket.get_message()
    except* ConnectionClosed:
        pass


async def _speak(websocket: WebSocketConnection) -> None:
    began, sender = trio.current_time(), _PERSON.to_bytes(4, "big")
    for number in count():
        await trio.sleep_until(began + number * FRAME_S)
        await websocket.send_message(sender + numbered_frame(number))
