"""The SDK's side of one call: what it is told on its own thread, and what its threads tell.

The SDK itself comes in as an argument; see agora.py, the one file that imports it.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import trio

from agent.audio import FRAME_MS, SAMPLE_BYTES, SAMPLE_RATE
from agent.errors import ChannelError, ConfigError
from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.asyncio_thread import AsyncioThread
from agent.rtc.handover import AudioHandover

LOAD_S: Final = 15.0
"""An import takes less than a second, unless it first downloads the native library: that is for
whoever installs it, since a supervisor waits 30 seconds for the whole start."""
OPEN_S: Final = 10.0
"""Making a connection reads no network, but it starts the native engine."""
CALL_S: Final = 2.0
"""One call of the SDK: they return at once or, stuck, not at all."""
BUFFER_MS: Final = 2000
"""The send buffer's size: twice the longest lead of the playout. What the SDK has by itself is
300 ms in one source and 60 s in another, and what is beyond it is dropped."""
CALLBACKS: Final = (
    "on_connected",
    "on_disconnected",
    "on_connecting",
    "on_reconnecting",
    "on_reconnected",
    "on_connection_lost",
    "on_connection_failure",
    "on_token_privilege_will_expire",
    "on_token_privilege_did_expire",
    "on_user_joined",
    "on_user_left",
    "on_stream_message",
    "on_stream_message_error",
    "on_audio_subscribe_state_changed",
    "on_audio_track_publication_failure",
    "on_connection_license_validation_failure",
    "on_error",
)
"""The observer's methods that tell of the call; all but frames."""


class SdkMember:
    """The SDK's side of a call, see `agora_member.Member`.

    But for `push` and `clear`, all of it runs on the SDK's own thread.

    :param audio: takes what the one who is listened to says, from the SDK's threads.
    :param load: imports the wrapper.
    :param start: makes the wrapper's engine, which has started then.
    """

    def __init__(
        self,
        thread: AsyncioThread,
        audio: AudioHandover,
        *,
        load: Callable[[], Awaitable[Any]],
        start: Callable[[Any], Any],
    ) -> None:
        self._thread, self._audio = thread, audio
        self._load, self._start = load, start
        self._sdk: Any = None
        self._channel: Any = None
        self._stream: int | None = None
        self._to_release = ExitStack()

    async def open(self, listener: AgoraChannel, **options: Any) -> None:
        """Load the SDK and make a connection that is not connected yet.

        :param listener: is told what happens.
        :param options: of the wrapper's RtcOptions.
        :raises ConfigError: the SDK is not installed or can't be loaded.
        :raises ChannelError: it does not start.
        """
        try:
            self._sdk = await self._thread.run(self._load, within_s=LOAD_S)
        except trio.TooSlowError:
            raise ConfigError(
                f"Agora's SDK was not imported within {LOAD_S:g} s, it may be downloading its "
                f"native library; do it once by hand: {sys.executable} -c 'import agora.rtc'"
            ) from None
        try:
            await self._thread.run(self._open, options, within_s=OPEN_S)
        except trio.TooSlowError:
            raise ChannelError("Agora's SDK does not start: its calls do not return") from None
        ears = Ears(listener, self._audio, trio.lowlevel.current_trio_token())
        observer = self._channel.channel_event_observer
        for method in CALLBACKS:
            setattr(observer, method, partial(ears.told, method))
        observer.on_playback_audio_frame_before_mixing = ears.hear

    async def _open(self, options: dict[str, Any]) -> None:
        engine = self._start(self._sdk)
        self._to_release.callback(engine.destroy)
        options |= {"sample_rate": SAMPLE_RATE, "channels": 1}
        try:
            channel = engine.create_channel(self._sdk.RtcOptions(**options))
        except AttributeError as error:  # what the wrapper makes of a factory's None
            raise ChannelError("Agora's SDK can't make a connection") from error
        self._channel = channel
        # Run from the last to the first, the order of the SDK's own documentation.
        for give_back in (
            channel.media_node_factory.release,
            channel.audio_pcm_data_sender.release,
            channel.audio_track.release,
            channel.connection.release,
            channel.local_user.release,
            channel.connection.unregister_observer,
        ):
            self._to_release.callback(give_back)
        channel.audio_track.set_max_buffer_audio_frame_number(BUFFER_MS // FRAME_MS)
        # The wrapper's own stream is neither repaired nor in order.
        reliable = channel.connection.create_data_stream(True, True)
        self._stream = channel.stream_id if reliable is None or reliable < 0 else reliable

    def push(self, pcm: bytes) -> None:
        """Copy speech into the send buffer."""
        frame = self._sdk.PcmAudioFrame(
            data=bytearray(pcm),
            timestamp=0,
            samples_per_channel=len(pcm) // SAMPLE_BYTES,
            bytes_per_sample=SAMPLE_BYTES,
            number_of_channels=1,
            sample_rate=SAMPLE_RATE,
        )
        # In this version of the SDK the result is lost.
        self._channel.audio_pcm_data_sender.send_audio_pcm_data(frame)

    def clear(self) -> int | None:
        """Empty the send buffer; the frames that were in it, where the SDK says so."""
        frames = self._channel.audio_track.clear_sender_buffer()
        return frames if isinstance(frames, int) and frames >= 0 else None

    async def connect(self, token: str) -> int:
        """Begin to join."""
        code: int = await self._call(self._connect, token)
        return code

    def _connect(self, token: str) -> int:
        channel = self._channel
        code: int = channel.connection.connect(token, channel.channelId, str(channel.uid))
        if channel.enable_pcm_dump:
            # The wrapper's own words to the SDK, which it would say in its `connect`.
            channel.connection.get_agora_parameter().set_parameters(_DUMP)
        return code

    async def subscribe(self, uid: int) -> int:
        """Begin to hear somebody."""
        code: int = await self._call(self._channel.local_user.subscribe_audio, str(uid))
        return code

    async def unsubscribe(self, uid: int) -> int:
        """Hear them no longer."""
        code: int = await self._call(self._unsubscribe, uid)
        return code

    def _unsubscribe(self, uid: int) -> int:
        # After the native call this version of the SDK deletes from a dict that it walks through.
        with suppress(RuntimeError):
            code: int = self._channel.local_user.unsubscribe_audio(str(uid))
            return code
        return 0

    async def renew_token(self, token: str) -> int:
        """Put a new token in the place of the one that ends."""
        code: int = await self._call(self._channel.connection.renew_token, token)
        return code

    async def send(self, packet: str) -> int:
        """Send a data message."""
        if self._stream is None:
            return _NO_STREAM
        send = self._channel.connection.send_stream_message
        code: int = await self._call(send, self._stream, packet)
        return code

    async def withdraw(self) -> None:
        """Publish and hear nothing any more."""
        if self._channel is not None:
            await self._call(self._withdraw)

    def _withdraw(self) -> None:
        user, track = self._channel.local_user, self._channel.audio_track
        user.unpublish_audio(track)
        track.set_enabled(0)
        user.unregister_audio_frame_observer()
        user.unregister_local_user_observer()

    async def disconnect(self) -> int:
        """Begin to leave."""
        code: int = await self._call(self._channel.connection.disconnect)
        return code

    async def release(self) -> None:
        """Give back all that the SDK holds."""
        await self._call(self._to_release.close)

    def abandon(self) -> None:
        """Leave and give all back whenever the SDK's thread is free again."""
        if self._channel is not None:
            self._thread.post(self._channel.connection.disconnect)
        self._thread.post(self._to_release.close)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._thread.run(_awaited, function, arguments, within_s=CALL_S)


async def _awaited(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments)


class Ears:
    """What the SDK's threads call. Nothing here waits, and nothing calls the SDK."""

    def __init__(
        self, listener: AgoraChannel, audio: AudioHandover, token: trio.lowlevel.TrioToken
    ) -> None:
        self._listener, self._audio, self._token = listener, audio, token
        self._complained = False

    def told(self, what: str, _about: Any, *details: Any) -> None:
        """A callback about the connection or the local user, which is its first argument."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(partial(self._listener.told, what, *details))

    def hear(self, _user: Any, _channel: str, uid: str, frame: Any, *_vad: Any) -> int:
        """10 ms of somebody's audio."""
        if uid == self._listener.listens_to and self._is_ours(frame):
            with suppress(trio.RunFinishedError):
                self._audio.put_from_thread(bytes(frame.buffer), self._token)
        return 0

    def _is_ours(self, frame: Any) -> bool:
        rate, channels = frame.samples_per_sec, frame.channels
        if (rate, channels, frame.bytes_per_sample) == (SAMPLE_RATE, 1, SAMPLE_BYTES):
            return True
        if not self._complained:
            self._complained = True
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._listener.wrong_format, rate, channels)
        return False


_NO_STREAM: Final = -116
_DUMP: Final = (
    '{"che.audio.frame_dump":{"location":"all","action":"start","max_size_bytes":"120000000",'
    '"uuid":"123456789","duration":"1200000"}}'
)
