"""What a program may want to be told of a connection."""

# ruff: noqa: PLR0917  # the SDK's own parameters

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agora_base import RTCConnInfo
    from .rtc_connection import RTCConnection


class IRTCConnectionObserver:
    """To be derived from."""

    def on_connected(
        self, agora_rtc_conn: "RTCConnection", conn_info: "RTCConnInfo", reason: int
    ) -> None: ...

    def on_disconnected(
        self, agora_rtc_conn: "RTCConnection", conn_info: "RTCConnInfo", reason: int
    ) -> None: ...

    def on_connecting(
        self, agora_rtc_conn: "RTCConnection", conn_info: "RTCConnInfo", reason: int
    ) -> None: ...

    def on_reconnecting(
        self, agora_rtc_conn: "RTCConnection", conn_info: "RTCConnInfo", reason: int
    ) -> None: ...

    def on_reconnected(
        self, agora_rtc_conn: "RTCConnection", conn_info: "RTCConnInfo", reason: int
    ) -> None: ...

    def on_connection_lost(
        self, agora_rtc_conn: "RTCConnection", conn_info: "RTCConnInfo"
    ) -> None: ...

    def on_lastmile_quality(self, agora_rtc_conn: "RTCConnection", quality: Any) -> None: ...

    def on_lastmile_probe_result(self, agora_rtc_conn: "RTCConnection", result: Any) -> None: ...

    def on_token_privilege_will_expire(
        self, agora_rtc_conn: "RTCConnection", token: str
    ) -> None: ...

    def on_token_privilege_did_expire(self, agora_rtc_conn: "RTCConnection") -> None: ...

    def on_connection_license_validation_failure(
        self, agora_rtc_conn: "RTCConnection", reason: int
    ) -> None: ...

    def on_connection_failure(
        self, agora_rtc_conn: "RTCConnection", info: "RTCConnInfo", reason: int
    ) -> None: ...

    def on_user_joined(self, agora_rtc_conn: "RTCConnection", user_id: str) -> None: ...

    def on_user_left(self, agora_rtc_conn: "RTCConnection", user_id: str, reason: int) -> None: ...

    def on_transport_stats(self, agora_rtc_conn: "RTCConnection", stats: Any) -> None: ...

    def on_change_role_success(
        self, agora_rtc_conn: "RTCConnection", old_role: Any, new_role: Any
    ) -> None: ...

    def on_change_role_failure(
        self, agora_rtc_conn: "RTCConnection", reason: int, cur_role: Any
    ) -> None: ...

    def on_user_network_quality(
        self, agora_rtc_conn: "RTCConnection", uid: Any, tx_quality: Any, rx_quality: Any
    ) -> None: ...

    def on_network_type_changed(
        self, agora_rtc_conn: "RTCConnection", network_type: Any
    ) -> None: ...

    def on_api_call_executed(
        self, agora_rtc_conn: "RTCConnection", error: Any, api_type: Any, api_param: Any
    ) -> None: ...

    def on_content_inspect_result(self, agora_rtc_conn: "RTCConnection", result: Any) -> None: ...

    def on_snapshot_taken(
        self,
        agora_rtc_conn: "RTCConnection",
        uid: Any,
        file_path: Any,
        width: Any,
        height: Any,
        err_code: Any,
    ) -> None: ...

    def on_error(
        self, agora_rtc_conn: "RTCConnection", error_code: int, error_msg: str
    ) -> None: ...

    def on_warning(
        self, agora_rtc_conn: "RTCConnection", warn_code: Any, warn_msg: Any
    ) -> None: ...

    def on_channel_media_relay_state_changed(
        self, agora_rtc_conn: "RTCConnection", state: Any, code: int
    ) -> None: ...

    def on_local_user_registered(
        self, agora_rtc_conn: "RTCConnection", uid: Any, user_account: Any
    ) -> None: ...

    def on_user_account_updated(
        self, agora_rtc_conn: "RTCConnection", uid: Any, user_account: Any
    ) -> None: ...

    def on_stream_message_error(
        self,
        agora_rtc_conn: "RTCConnection",
        user_id_str: str,
        stream_id: int,
        code: int,
        missed: int,
        cached: int,
    ) -> None: ...

    def on_encryption_error(self, agora_rtc_conn: "RTCConnection", error_type: Any) -> None: ...

    def on_upload_log_result(
        self, agora_rtc_conn: "RTCConnection", request_id_str: Any, success: Any, reason: int
    ) -> None: ...
