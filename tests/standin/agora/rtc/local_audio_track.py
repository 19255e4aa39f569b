"""The track that a program speaks on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.standin.agora_standin.audio import NativeTrack
    from tests.standin.agora_standin.calls import Released, sdk_call
else:
    from agora_standin.calls import Released, sdk_call


class LocalAudioTrack(Released):
    """With its buffer."""

    def __init__(self, track_handle: "NativeTrack") -> None:
        self.track_handle = track_handle

    @sdk_call
    def set_enabled(self, enable: int) -> None:
        self.track_handle.is_enabled = bool(enable)

    @sdk_call
    def is_enabled(self) -> tuple[int, int]:
        return 0, int(self.track_handle.is_enabled)

    @sdk_call
    def set_max_buffer_audio_frame_number(self, num: int) -> None:
        self.track_handle.buffer.max_frames = num

    @sdk_call
    def clear_sender_buffer(self) -> int:
        return self.track_handle.clear()

    @sdk_call
    def set_send_delay_ms(self, delay_ms: int) -> None:
        self.track_handle.buffer.delay_ms = delay_ms

    @sdk_call
    def release(self) -> None:
        self.track_handle.released = self.is_released = True
