"""The service, from which everything else comes."""

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from .agora_base import AgoraServiceConfig, AudioScenarioType, ClientRoleType, RTCConnConfig
from .agora_parameter import AgoraParameter
from .audio_pcm_data_sender import AudioPcmDataSender
from .local_audio_track import LocalAudioTrack
from .media_node_factory import MediaNodeFactory
from .rtc_connection import RTCConnection

if TYPE_CHECKING:
    from tests.standin.agora_standin import CLOUD
    from tests.standin.agora_standin.calls import Released, sdk_call
else:
    from agora_standin import CLOUD
    from agora_standin.calls import Released, sdk_call

__all__ = ["AgoraService", "AgoraServiceConfig", "RTCConnConfig", "RTCConnection"]
logger = logging.getLogger(__name__)
BAD_APP_ID = -101
SMALLEST_DELAY_MS = 10


class AgoraService(Released):
    """One per process."""

    def __init__(self) -> None:
        self.inited = False
        self._app_id = ""
        self._is_low_delay = False
        self._connections: list[RTCConnection] = []

    @sdk_call
    def initialize(self, config: AgoraServiceConfig) -> int:
        if self.inited:
            return 0
        plan = CLOUD.plan
        if plan.bad_app_id_fails_initialize and config.appid != plan.app_id:
            return BAD_APP_ID
        CLOUD.services += 1
        if CLOUD.services > 1:
            CLOUD.violate("there is more than one service in this process")
        CLOUD.uses_names = bool(config.use_string_uid)
        self.inited, self._app_id = True, config.appid
        self._is_low_delay = config.audio_scenario == AudioScenarioType.AUDIO_SCENARIO_CHORUS
        logger.debug("initialized for %s: 0", config.appid)
        _write_log(config.log_path)
        return 0

    @sdk_call
    def release(self) -> None:
        if not self.inited:
            return
        if not all(connection.is_released for connection in self._connections):
            CLOUD.violate("the service was released before its connections")
        CLOUD.services -= 1
        self.inited, self.is_released = False, True

    @sdk_call
    def create_media_node_factory(self) -> MediaNodeFactory | None:
        return MediaNodeFactory(CLOUD) if self._is_ready() else None

    @sdk_call
    def get_agora_parameter(self) -> AgoraParameter:
        return AgoraParameter({})

    @sdk_call
    def create_rtc_connection(self, con_config: RTCConnConfig) -> RTCConnection | None:
        if not self._is_ready():
            return None
        is_announced = con_config.client_role_type == ClientRoleType.CLIENT_ROLE_BROADCASTER
        native = CLOUD.create_connection(self._app_id, is_announced=is_announced)
        native.subscriptions.everyone = bool(con_config.auto_subscribe_audio)
        connection = RTCConnection(native, self._is_low_delay)
        self._connections.append(connection)
        return connection

    @sdk_call
    def create_custom_audio_track_pcm(
        self, audio_pcm_data_sender: AudioPcmDataSender
    ) -> LocalAudioTrack | None:
        if not self._is_ready():
            return None
        track = CLOUD.create_track(audio_pcm_data_sender.sender_handle)
        track.buffer.delay_ms = SMALLEST_DELAY_MS
        return LocalAudioTrack(track)

    @sdk_call
    def set_log_file(self, log_path: str, log_size: int = 512 * 1024) -> int:
        if not self._is_ready():
            return -1
        _write_log(log_path)
        return 0

    def _is_ready(self) -> bool:
        if not self.inited:
            logger.error("the service is not initialized")
        return self.inited


def _write_log(path: str) -> None:
    """As the native library does, which tells nobody when it cannot."""
    if path:
        with contextlib.suppress(OSError), Path(path).open("a") as file:
            file.write("agora: the log begins\n")
