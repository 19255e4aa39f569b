"""What a program may want to be told of audio."""

# ruff: noqa: N803, PLR0917  # the SDK's own names and parameters

from typing import TYPE_CHECKING

from .agora_base import AudioFrame, AudioParams

if TYPE_CHECKING:
    from .local_user import LocalUser

__all__ = ["AudioFrame", "AudioParams", "IAudioFrameObserver"]


class IAudioFrameObserver:
    """To be derived from; only the frames before mixing ever come here."""

    def on_record_audio_frame(
        self, agora_local_user: "LocalUser", channelId: str, frame: AudioFrame
    ) -> int:
        return 1

    def on_playback_audio_frame(
        self, agora_local_user: "LocalUser", channelId: str, frame: AudioFrame
    ) -> int:
        return 1

    def on_mixed_audio_frame(
        self, agora_local_user: "LocalUser", channelId: str, frame: AudioFrame
    ) -> int:
        return 1

    def on_ear_monitoring_audio_frame(
        self, agora_local_user: "LocalUser", frame: AudioFrame
    ) -> int:
        return 1

    def on_playback_audio_frame_before_mixing(
        self,
        agora_local_user: "LocalUser",
        channelId: str,
        uid: str,
        frame: AudioFrame,
        vad_result_state: int,
        vad_result_bytearray: bytearray | None,
    ) -> int:
        return 1

    def on_get_audio_frame_position(self, agora_local_user: "LocalUser") -> int:
        return 1

    def on_get_playback_audio_frame_param(
        self, agora_local_user: "LocalUser"
    ) -> AudioParams | None: ...

    def on_get_record_audio_frame_param(
        self, agora_local_user: "LocalUser"
    ) -> AudioParams | None: ...

    def on_get_mixed_audio_frame_param(
        self, agora_local_user: "LocalUser"
    ) -> AudioParams | None: ...

    def on_get_ear_monitoring_audio_frame_param(
        self, agora_local_user: "LocalUser"
    ) -> AudioParams | None: ...
