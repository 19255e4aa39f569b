"""A connection to a channel."""

import logging
import time
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from .agora_base import RTCConnInfo
from .agora_parameter import AgoraParameter
from .local_user import LocalUser
from .rtc_connection_observer import IRTCConnectionObserver

if TYPE_CHECKING:
    from tests.standin.agora_standin import CLOUD
    from tests.standin.agora_standin.calls import Released, sdk_call
    from tests.standin.agora_standin.connection import NativeConnection
    from tests.standin.agora_standin.telling import ConnectionInfo
else:
    from agora_standin import CLOUD
    from agora_standin.calls import Released, sdk_call
    from agora_standin.telling import ConnectionInfo

__all__ = ["RTCConnInfo", "RTCConnection"]
logger = logging.getLogger(__name__)


class RTCConnection(Released):
    """Made by the service."""

    def __init__(self, conn_handle: "NativeConnection", is_low_delay: bool = False) -> None:
        self.conn_handle = conn_handle
        self.con_observer: IRTCConnectionObserver | None = None
        self.local_user: LocalUser | None = LocalUser(conn_handle, self)

    @sdk_call
    def connect(self, token: str, chan_id: str, user_id: str) -> int:
        texts = [text.encode().decode() for text in (token, chan_id, user_id)]
        return self.conn_handle.connect(*texts)

    @sdk_call
    def disconnect(self) -> int:
        return self.conn_handle.disconnect()

    @sdk_call
    def renew_token(self, token: str) -> int:
        self.conn_handle.token_watch.renew(token.encode().decode())
        return 0

    @sdk_call
    def register_observer(self, conn_observer: IRTCConnectionObserver) -> int:
        self.con_observer = conn_observer
        self.conn_handle.tell.listeners["connection"] = partial(self._tell, conn_observer)
        return 0

    @sdk_call
    def unregister_observer(self) -> int:
        self.con_observer = None
        self.conn_handle.tell.listeners.pop("connection", None)
        return 0

    @sdk_call
    def create_data_stream(self, reliable: bool, ordered: bool) -> int | None:
        if int(reliable) != int(ordered):
            CLOUD.violate("a data stream was to be reliable and not ordered, or the reverse")
        return self.conn_handle.streams.create(bool(reliable))

    @sdk_call
    def send_stream_message(self, stream_id: int, data: str) -> int:
        return self.conn_handle.send_message(stream_id, data.encode(), time.monotonic())

    @sdk_call
    def get_agora_parameter(self) -> AgoraParameter:
        return AgoraParameter({})

    @sdk_call
    def get_local_user(self) -> LocalUser | None:
        return self.local_user

    @sdk_call
    def release(self) -> None:
        self.conn_handle.release()
        self.is_released, self.local_user = True, None

    def _tell(
        self, observer: IRTCConnectionObserver, name: str, arguments: tuple[Any, ...]
    ) -> None:
        logger.debug("%s: %s", name, arguments)
        own = [_own(argument) for argument in arguments]
        getattr(observer, name)(self, *own)


def _own(argument: object) -> object:
    """A callback's argument in the SDK's type."""
    if not isinstance(argument, ConnectionInfo):
        return argument
    return RTCConnInfo(**{each.name: getattr(argument, each.name) for each in fields(RTCConnInfo)})
