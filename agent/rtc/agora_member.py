"""What a call in an Agora channel needs of the SDK."""

from typing import Protocol

from agent.errors import ChannelError


class SdkFailed(ChannelError):
    """A call of Agora's SDK raised what it should not; the text says what."""


class Member(Protocol):
    """The SDK's side of one call.

    What is async here ends, by `trio.TooSlowError` at the latest, and raises `SdkFailed` where the
    SDK raises anything.
    """

    def push(self, pcm: bytes) -> bool:
        """Put speech into the send buffer; false: the SDK takes none."""

    def clear(self) -> int | None:
        """Empty the send buffer; how many frames were in it, where the SDK says so."""

    async def connect(self, token: str) -> int:
        """Begin to join; negative: refused at once."""

    async def subscribe(self, uid: int) -> int:
        """Begin to hear somebody; negative: refused."""

    async def unsubscribe(self, uid: int) -> int:
        """Hear them no longer; negative: refused."""

    async def renew_token(self, token: str) -> int:
        """Put a new token in the place of the one that ends; negative: refused."""

    async def send(self, packet: str) -> int:
        """Send a data message; negative: refused, see `agora_reasons.REFUSALS`."""

    async def withdraw(self) -> None:
        """Publish and hear nothing any more."""

    async def disconnect(self) -> int:
        """Begin to leave; negative: refused."""

    async def release(self) -> None:
        """Give back all that the SDK holds."""

    def abandon(self) -> None:
        """Have the SDK leave and give all back whenever it comes back to life."""
