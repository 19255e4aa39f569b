"""Makes senders."""

from typing import TYPE_CHECKING

from .audio_pcm_data_sender import AudioPcmDataSender

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud
    from tests.standin.agora_standin.audio import NativeSender
    from tests.standin.agora_standin.calls import Released, sdk_call
else:
    from agora_standin.audio import NativeSender
    from agora_standin.calls import Released, sdk_call


class MediaNodeFactory(Released):
    """One is enough."""

    def __init__(self, media_node_factory: "Cloud") -> None:
        self.media_node_factory = media_node_factory

    @sdk_call
    def create_audio_pcm_data_sender(self) -> AudioPcmDataSender:
        return AudioPcmDataSender(NativeSender(self.media_node_factory))

    @sdk_call
    def release(self) -> None:
        self.is_released = True
