"""This end's user: what it publishes and whom it hears."""

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from .agora_base import AudioFrame, AudioScenarioType
from .audio_frame_observer import IAudioFrameObserver
from .local_audio_track import LocalAudioTrack
from .local_user_observer import IRTCLocalUserObserver

if TYPE_CHECKING:
    from tests.standin.agora_standin import CLOUD
    from tests.standin.agora_standin.audio import Frame, NativeTrack, RemoteTrack
    from tests.standin.agora_standin.calls import Released, sdk_call
    from tests.standin.agora_standin.connection import NativeConnection

    from .rtc_connection import RTCConnection
else:
    from agora_standin import CLOUD
    from agora_standin.calls import Released, sdk_call

logger = logging.getLogger(__name__)
NO_VAD = -1


class LocalUser(Released):
    """Of one connection."""

    def __init__(self, local_user_handle: "NativeConnection", connection: "RTCConnection") -> None:
        self.user_handle = local_user_handle
        self.connection = connection
        self.audio_frame_observer: IAudioFrameObserver | None = None
        self.user_observer: IRTCLocalUserObserver | None = None
        self._tracks: dict[int, LocalAudioTrack] = {}
        self._remote_tracks: dict[int, RemoteTrack] = {}
        self._remote_lock = threading.Lock()

    # -- hearing -------------------------------------------------------------------------------

    @sdk_call
    def subscribe_audio(self, user_id: str | None) -> int:
        if user_id is None:
            return -1
        self.user_handle.subscriptions.subscribe(_text(user_id))
        return 0

    @sdk_call
    def subscribe_all_audio(self) -> int:
        self.user_handle.subscriptions.everyone = True
        for uid in list(self.user_handle.known):
            self.user_handle.subscriptions.subscribe(uid)
        return 0

    @sdk_call
    def unsubscribe_audio(self, user_id: str | None) -> int:
        if user_id is None:
            return -1
        self.user_handle.subscriptions.unsubscribe(_text(user_id))
        self._forget_remote(user_id)
        return 0

    @sdk_call
    def unsubscribe_all_audio(self) -> int:
        self.user_handle.subscriptions.everyone = False
        for uid in list(self.user_handle.subscriptions.wanted):
            self.user_handle.subscriptions.unsubscribe(uid)
        with self._remote_lock:
            self._remote_tracks.clear()
        return 0

    @sdk_call
    def set_playback_audio_frame_before_mixing_parameters(
        self, channels: int, sample_rate_hz: int
    ) -> int:
        wanted = self.user_handle.format
        wanted.rate, wanted.channels, wanted.is_set = sample_rate_hz, channels, True
        return 0

    @sdk_call
    def register_audio_frame_observer(
        self, observer: IAudioFrameObserver, enable_vad: int, vad_configure: object
    ) -> int:
        if enable_vad > 0:
            raise NotImplementedError("the stand-in has no voice detection")
        if not self.user_handle.format.is_set:
            CLOUD.violate("the frames' format was not set before their observer")
        self.audio_frame_observer = observer
        self.user_handle.tell.listeners["frames"] = partial(self._give, observer)
        return 0

    @sdk_call
    def unregister_audio_frame_observer(self) -> int:
        self.audio_frame_observer = None
        self.user_handle.tell.listeners.pop("frames", None)
        return 0

    # -- speaking ------------------------------------------------------------------------------

    @sdk_call
    def publish_audio(self, agora_local_audio_track: LocalAudioTrack) -> int:
        track = agora_local_audio_track.track_handle
        self._tracks[id(track)] = agora_local_audio_track
        track.publisher = self.user_handle
        self.user_handle.tracks.append(track)
        return 0

    @sdk_call
    def unpublish_audio(self, agora_local_audio_track: LocalAudioTrack) -> int:
        track = agora_local_audio_track.track_handle
        self.user_handle.tracks = [own for own in self.user_handle.tracks if own is not track]
        return 0

    # -- the rest ------------------------------------------------------------------------------

    @sdk_call
    def register_local_user_observer(self, observer: IRTCLocalUserObserver) -> int:
        self.user_observer = observer
        self.user_handle.tell.listeners["local_user"] = partial(self._tell, observer)
        return 0

    @sdk_call
    def unregister_local_user_observer(self) -> int:
        self.user_handle.tell.listeners.pop("local_user", None)
        return 0

    @sdk_call
    def get_rtc_connection(self) -> "RTCConnection":
        return self.connection

    @sdk_call
    def set_audio_scenario(self, scenario_type: AudioScenarioType) -> int:
        return 0

    @sdk_call
    def release(self) -> None:
        self._tracks.clear()
        with self._remote_lock:
            self._remote_tracks.clear()

    # -- called back ---------------------------------------------------------------------------

    def _give(self, observer: IAudioFrameObserver, frame: "Frame") -> None:
        samples = frame.rate // 100
        own = AudioFrame(
            type=0,
            samples_per_channel=samples,
            bytes_per_sample=2,
            channels=frame.channels,
            samples_per_sec=frame.rate,
            buffer=bytearray(frame.pcm),
            render_time_ms=int(frame.at * 1000),
            avsync_type=0,
            far_field_flag=0,
            rms=0,
            voice_prob=0,
            music_prob=0,
            pitch=0,
        )
        give = observer.on_playback_audio_frame_before_mixing
        give(self, frame.channel, frame.uid, own, NO_VAD, None)

    def _tell(self, observer: IRTCLocalUserObserver, name: str, arguments: tuple[Any, ...]) -> None:
        logger.debug("%s: %s", name, arguments)
        getattr(self, f"_before_{name}", _nothing)(*arguments)
        own = getattr(self, f"_own_{name}", _same)(*arguments)
        getattr(observer, name)(self, *own)

    def _before_on_user_audio_track_subscribed(self, uid: str, track: "RemoteTrack") -> None:
        with self._remote_lock:
            self._remote_tracks[id(track)] = track

    def _own_on_audio_track_publish_success(self, track: "NativeTrack") -> tuple[object, ...]:
        return (self._tracks.get(id(track)),)

    def _own_on_stream_message(
        self, uid: str, stream: int, data: bytes, length: int
    ) -> tuple[object, ...]:
        """2.1.7 takes it for text that ends at its first NUL."""
        if CLOUD.plan.message_type == "bytes":
            return uid, stream, data, length
        return uid, stream, data.split(b"\0")[0].decode(), length

    def _forget_remote(self, user_id: str) -> None:
        """2.1.7 deletes from what it iterates over, which raises an error where it finds one."""
        with self._remote_lock:
            tracks = self._remote_tracks
            careful = not CLOUD.plan.unsubscribe_raises
            for key, track in list(tracks.items()) if careful else tracks.items():
                if track.user_id == user_id:
                    del tracks[key]


def _text(value: str) -> str:
    """What goes through C as text; what is none has no `encode`."""
    return value.encode().decode()


def _nothing(*arguments: object) -> None: ...


def _same(*arguments: object) -> tuple[object, ...]:
    return arguments
