"""Where a program hands in its audio."""

from typing import TYPE_CHECKING

from .agora_base import PcmAudioFrame

if TYPE_CHECKING:
    from tests.standin.agora_standin.audio import NativeSender
    from tests.standin.agora_standin.calls import Released, sdk_call
else:
    from agora_standin.calls import Released, sdk_call

__all__ = ["AudioPcmDataSender", "PcmAudioFrame"]


class AudioPcmDataSender(Released):
    """Of one track."""

    def __init__(self, handle: "NativeSender") -> None:
        self.sender_handle = handle

    @sdk_call
    def send_audio_pcm_data(self, frame: PcmAudioFrame) -> None:
        """Take the frame's data out of it. What becomes of it, 2.1.7 does not tell."""
        if not isinstance(frame.data, bytearray):
            raise TypeError("underlying buffer is not writable")
        pcm, frame.data = bytes(frame.data), None
        self.sender_handle.send(
            pcm,
            frame.samples_per_channel,
            frame.bytes_per_sample,
            frame.number_of_channels,
            frame.sample_rate,
        )

    @sdk_call
    def release(self) -> None:
        self.is_released = True
