"""What a program may want to be told of users and tracks."""

# ruff: noqa: N803, PLR0917  # the SDK's own names and parameters

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .local_audio_track import LocalAudioTrack
    from .local_user import LocalUser


class IRTCLocalUserObserver:
    """To be derived from."""

    def on_audio_track_publish_success(
        self, agora_local_user: "LocalUser", agora_local_audio_track: "LocalAudioTrack"
    ) -> None: ...

    def on_audio_track_publish_start(
        self, agora_local_user: "LocalUser", agora_local_audio_track: "LocalAudioTrack"
    ) -> None: ...

    def on_audio_track_unpublished(
        self, agora_local_user: "LocalUser", agora_local_audio_track: "LocalAudioTrack"
    ) -> None: ...

    def on_audio_track_publication_failure(
        self, agora_local_user: "LocalUser", agora_local_audio_track: "LocalAudioTrack", error: int
    ) -> None: ...

    def on_local_audio_track_state_changed(
        self,
        agora_local_user: "LocalUser",
        agora_local_audio_track: "LocalAudioTrack",
        state: int,
        error: int,
    ) -> None: ...

    def on_local_audio_track_statistics(
        self, agora_local_user: "LocalUser", stats: Any
    ) -> None: ...

    def on_remote_audio_track_statistics(
        self, agora_local_user: "LocalUser", agora_remote_audio_track: Any, stats: Any
    ) -> None: ...

    def on_user_audio_track_subscribed(
        self, agora_local_user: "LocalUser", user_id: str, agora_remote_audio_track: Any
    ) -> None: ...

    def on_user_audio_track_state_changed(
        self,
        agora_local_user: "LocalUser",
        user_id: str,
        agora_remote_audio_track: Any,
        state: int,
        reason: int,
        elapsed: int,
    ) -> None: ...

    def on_audio_subscribe_state_changed(
        self,
        agora_local_user: "LocalUser",
        channel: str,
        user_id: str,
        old_state: int,
        new_state: int,
        elapse_since_last_state: int,
    ) -> None: ...

    def on_audio_publish_state_changed(
        self,
        agora_local_user: "LocalUser",
        channel: str,
        old_state: int,
        new_state: int,
        elapse_since_last_state: int,
    ) -> None: ...

    def on_first_remote_audio_frame(
        self, agora_local_user: "LocalUser", user_id: str, elapsed: int
    ) -> None: ...

    def on_first_remote_audio_decoded(
        self, agora_local_user: "LocalUser", user_id: str, elapsed: int
    ) -> None: ...

    def on_audio_volume_indication(
        self,
        agora_local_user: "LocalUser",
        speakers_list: Any,
        speaker_number: Any,
        total_volume: Any,
    ) -> None: ...

    def on_active_speaker(self, agora_local_user: "LocalUser", userId: Any) -> None: ...

    def on_user_info_updated(
        self, agora_local_user: "LocalUser", user_id: str, msg: Any, val: Any
    ) -> None: ...

    def on_intra_request_received(self, agora_local_user: "LocalUser") -> None: ...

    def on_remote_subscribe_fallback_to_audio_only(
        self, agora_local_user: "LocalUser", user_id: str, is_fallback_or_recover: Any
    ) -> None: ...

    def on_stream_message(
        self, agora_local_user: "LocalUser", user_id: str, stream_id: int, data: Any, length: int
    ) -> None: ...

    def on_user_state_changed(
        self, agora_local_user: "LocalUser", user_id: str, state: int
    ) -> None: ...
