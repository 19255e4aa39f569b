"""What the cloud does where Agora's behaviour is unknown, or where it fails."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from attrs import define, field, fields_dict

ENVIRONMENT = "AGORA_STANDIN_PLAN"


@define
class Plan:
    """All switches. As they stand, nothing fails and everything is as it is documented.

    They may be changed while it runs. In JSON, `import_` may be written `import`.

    :ivar import_: what becomes of importing `agora.rtc`.
    :ivar returns: what a call answers instead of being done, by its name as in
        ``{"RTCConnection.connect": -2}``.
    :ivar blocks_s: how long a call holds its caller before it is done, by its name likewise.
    :ivar callbacks_overlap: whether frames come while another callback of the same connection runs.
    """

    import_: Literal["works", "exit", "download_fails", "missing_library"] = "works"
    returns: dict[str, Any] = field(factory=dict)
    blocks_s: dict[str, float] = field(factory=dict)
    callbacks_overlap: bool = True

    # Joining: `app_id` and `certificate` are what Agora knows; without them it takes any.
    app_id: str = ""
    certificate: str = ""
    bad_app_id_fails_initialize: bool = False
    join_delay_s: float = 0.02
    outcome: Literal["silent"] | list[tuple[str, int, int, float]] | None = None
    """Instead of joining: nothing more, or (callback, state, reason, seconds since the last)."""
    refused_by: str = "on_connection_failure"
    """The callback of every end by Agora; or on_disconnected, on_connection_lost."""
    same_uid: Literal["evicts", "both"] = "evicts"

    # Tokens: `token_life_s` is how long any lasts from its use, whatever is written in it.
    token_life_s: float | None = None
    expiry_notice_s: float = 30.0
    expiry_grace_s: float = 0.2

    # An interruption, in seconds since it began.
    lost_after_s: float = 10.0
    failed_after_s: float = 1200.0
    gone_after_s: float = 20.0
    reconnected_by: Literal["both", "on_connected", "on_reconnected"] = "both"

    # Leaving.
    disconnect_delay_s: float = 0.005
    disconnect_answers: bool = True
    disconnect_after_failure_answers: bool = False

    # Hearing.
    unsubscribe_raises: bool = True
    subscription_survives: bool = False
    early_frames: bool = False
    silence: Literal["frames", "none"] = "frames"
    muted_frames: bool = False
    zero_uid_frames: bool = False
    frame_rate: int | None = None
    frame_channels: int | None = None
    frame_channel_id: bool = False

    # Speaking: a silence shorter than `pause_s` within what is sent is a gap.
    buffer_frames: int = 30
    buffer_overflow: Literal["drops_newest", "drops_oldest"] = "drops_newest"
    odd_lengths: Literal["accepted", "padded", "refused"] = "accepted"
    before_joined: Literal["dropped", "kept"] = "dropped"
    clear_tells: Literal["count", "nothing"] = "count"
    pause_s: float = 0.4

    # Data: every so many messages of an unreliable stream are lost, or come after the next one.
    data_streams: int = 5
    max_message_bytes: int = 1024
    packets_per_s: int = 60
    bytes_per_s: int = 30_000
    lost_every: int = 0
    reordered_every: int = 0
    message_type: Literal["str", "bytes"] = "str"

    # For child processes: see `people.Script` and `report`.
    people: list[dict[str, Any]] = field(factory=list)
    events: list[dict[str, Any]] = field(factory=list)
    report: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Plan":
        plan = cls()
        plan.change(json.loads(environ.get(ENVIRONMENT, "{}")))
        return plan

    def change(self, switches: Mapping[str, Any]) -> None:
        """Set switches by their names."""
        for name, value in switches.items():
            own = "import_" if name == "import" else name
            if own not in fields_dict(Plan):
                raise ValueError(f"there is no switch {name!r}")
            setattr(self, own, value)
