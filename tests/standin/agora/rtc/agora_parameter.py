"""Settings by name, which are kept and do nothing."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.standin.agora_standin.calls import Released, sdk_call
else:
    from agora_standin.calls import Released, sdk_call


class AgoraParameter(Released):
    """Settings of a service or a connection."""

    def __init__(self, handle: dict[str, Any]) -> None:
        self.parameter_handle = handle

    @sdk_call
    def release(self) -> None:
        pass

    @sdk_call
    def set_int(self, key: str, value: int) -> int:
        self.parameter_handle[key] = value
        return 0

    @sdk_call
    def set_bool(self, key: str, value: bool) -> int:
        self.parameter_handle[key] = value
        return 0

    @sdk_call
    def set_string(self, key: str, value: str) -> int:
        self.parameter_handle[key] = value
        return 0

    @sdk_call
    def set_parameters(self, json_src: str) -> int:
        self.parameter_handle[""] = json_src
        return 0
