"""What happens when a token ends."""

from typing import TYPE_CHECKING, Final

from attrs import define, field

from .admission import TOKEN_EXPIRED, Refused
from .threads import Job

if TYPE_CHECKING:
    from .connection import NativeConnection

ERROR_TOKEN_EXPIRED: Final = 109
ERROR_BAD_TOKEN: Final = 110


@define(eq=False)
class TokenWatch:
    """Tells of a connection's token before it ends and when it has, then ends the connection."""

    connection: "NativeConnection"
    _jobs: list[Job] = field(factory=list)

    def start(self, life_s: float | None) -> None:
        """The connection's token lasts so long from now."""
        self.stop()
        if life_s is not None:
            after = self.connection.thread.after
            notice_s = self.connection.cloud.plan.expiry_notice_s
            self._jobs = [after(life_s - notice_s, self._will_end), after(life_s, self._has_ended)]

    def renew(self, token: str) -> None:
        """A newer one; a bad one changes nothing."""
        if token == self.connection.token:
            return
        try:
            life_s = self.connection.admit(token)
        except Refused:
            tell_error = self.connection.tell.connection
            self.connection.thread.after(0, lambda: tell_error("on_error", ERROR_BAD_TOKEN, ""))
            return
        self.connection.token = token
        self.start(life_s)

    def stop(self) -> None:
        for job in self._jobs:
            job.call_off()
        self._jobs = []

    def _will_end(self) -> None:
        token = self.connection.token
        self.connection.tell.connection("on_token_privilege_will_expire", token)

    def _has_ended(self) -> None:
        grace_s = self.connection.cloud.plan.expiry_grace_s
        self._jobs.append(self.connection.thread.after(grace_s, self._end))
        self.connection.tell.connection("on_token_privilege_did_expire")

    def _end(self) -> None:
        self.connection.tell.connection("on_error", ERROR_TOKEN_EXPIRED, "")
        self.connection.finish(TOKEN_EXPIRED)
