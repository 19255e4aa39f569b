"""The SDK's side of one call: what it is told on its own thread, and what its threads tell.

The SDK itself comes in as an argument; see agora.py, the one file that imports it.
"""

import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import trio

from agent.audio import FRAME_MS, SAMPLE_BYTES, SAMPLE_RATE
from agent.errors import AgentError, ChannelError, ConfigError, one_line
from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.agora_member import SdkFailed
from agent.rtc.agora_speaker import Speaker
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

_log = logging.getLogger(__name__)


class SdkMember:
    """The SDK's side of a call, see `agora_member.Member`.

    Speech is handed over by a thread of its own; all else runs on the SDK's.

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
        self._ears: Ears | None = None
        self._speaker: Speaker | None = None
        self._is_in = self._was_in = False
        self._to_withdraw, self._to_release = ExitStack(), ExitStack()

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
            await self._thread.run(_awaited, self._open, (options,), within_s=OPEN_S)
        except trio.TooSlowError:
            raise ChannelError("Agora's SDK does not start: its calls do not return") from None
        ears = self._ears = Ears(listener, self._audio, trio.lowlevel.current_trio_token())
        self._speaker = Speaker(self._send_speech, self._empty, ears.failed)
        observer = self._channel.channel_event_observer
        for method in CALLBACKS:
            setattr(observer, method, partial(ears.told, method))
        observer.on_playback_audio_frame_before_mixing = ears.hear

    def _open(self, options: dict[str, Any]) -> None:
        engine = self._start(self._sdk)
        self._to_release.callback(engine.destroy)
        options |= {"sample_rate": SAMPLE_RATE, "channels": 1}
        channel = self._channel = engine.create_channel(self._sdk.RtcOptions(**options))
        # Run from the last to the first, the order of the SDK's own documentation, each whatever
        # becomes of the others.
        for give_back in (
            channel.media_node_factory.release,
            channel.audio_pcm_data_sender.release,
            channel.audio_track.release,
            channel.connection.release,
            channel.local_user.release,
            channel.connection.unregister_observer,
            self._disconnect,
        ):
            self._to_release.callback(give_back)
        self._to_withdraw.callback(channel.local_user.unregister_local_user_observer)
        self._to_withdraw.callback(channel.local_user.unregister_audio_frame_observer)
        self._to_withdraw.callback(channel.audio_track.set_enabled, 0)
        self._to_withdraw.callback(channel.local_user.unpublish_audio, channel.audio_track)
        channel.audio_track.set_max_buffer_audio_frame_number(BUFFER_MS // FRAME_MS)
        # The wrapper's own stream is neither repaired nor in order.
        reliable = channel.connection.create_data_stream(True, True)
        self._stream = channel.stream_id if reliable is None or reliable < 0 else reliable

    def push(self, pcm: bytes) -> bool:
        """Put speech into the send buffer."""
        return self._speaker is not None and self._speaker.push(pcm)

    def _send_speech(self, pcm: bytes) -> None:
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
        """Empty the send buffer; the frames that were in it, where the SDK says so in time."""
        return None if self._speaker is None else self._speaker.clear()

    def _empty(self) -> int | None:
        frames = self._channel.audio_track.clear_sender_buffer()
        return frames if isinstance(frames, int) and frames >= 0 else None

    async def connect(self, token: str) -> int:
        """Begin to join."""
        code: int = await self._call(self._connect, token)
        return code

    def _connect(self, token: str) -> int:
        channel = self._channel
        code: int = channel.connection.connect(token, channel.channelId, str(channel.uid))
        self._is_in = self._was_in = code >= 0
        if self._is_in and channel.enable_pcm_dump:
            self._dump()
        return code

    def _dump(self) -> None:
        parameter = self._channel.connection.get_agora_parameter()
        # The wrapper's own words to the SDK, which it would say in its `connect`.
        if parameter is None or parameter.set_parameters(_DUMP) != 0:
            _log.warning("WRITE_RTC_PCM: Agora's SDK does not dump its audio")

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
        await self._call(self._withdraw)

    def _withdraw(self) -> None:
        if self._speaker is not None and not self._speaker.close(CALL_S / 2):
            raise SdkFailed("Agora's SDK takes no speech and does not come back")
        self._to_withdraw.close()

    async def disconnect(self) -> int:
        """Begin to leave."""
        code: int = await self._call(self._disconnect)
        return code

    def _disconnect(self) -> int:
        if not self._is_in:
            return -1
        self._is_in = False
        code: int = self._channel.connection.disconnect()
        return code

    async def release(self) -> None:
        """Give back all that the SDK holds."""
        await self._call(self._to_release.close)

    def abandon(self) -> None:
        """Leave and give all back whenever the SDK's thread is free again."""
        self._thread.post(self._give_up)

    def _give_up(self) -> None:
        self._disconnect()
        if self._ears is not None and self._was_in:
            self._ears.gone.wait(CALL_S / 2)
        # What is in the midst of a call must not be taken away from under it.
        if self._speaker is None or self._speaker.close(0):
            self._to_withdraw.close()
            self._to_release.close()

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._thread.run(_awaited, function, arguments, within_s=CALL_S)


async def _awaited(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except AgentError:
        raise
    except Exception as error:
        words = f"{type(error).__name__}: {one_line(str(error))}"
        raise SdkFailed(f"Agora's SDK failed: {words}") from error


class Ears:
    """What the SDK's threads call. Nothing here waits, and nothing calls the SDK.

    :ivar gone: set when the connection is no more.
    """

    def __init__(
        self, listener: AgoraChannel, audio: AudioHandover, token: trio.lowlevel.TrioToken
    ) -> None:
        self._listener, self._audio, self._token = listener, audio, token
        self.gone = threading.Event()
        self._complained = False

    def told(self, what: str, _about: Any, *details: Any) -> None:
        """A callback about the connection or the local user, which is its first argument."""
        self._tell(self._listener.told, what, *details)
        if what in ("on_disconnected", "on_connection_failure"):
            self.gone.set()

    def failed(self, error: BaseException) -> None:
        """A call that hands over speech has raised this."""
        self._tell(self._listener.speech_failed, f"{type(error).__name__}: {error}")

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
            self._tell(self._listener.wrong_format, rate, channels)
        return False

    def _tell(self, function: Callable[..., object], *details: Any) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *details)


_NO_STREAM: Final = -116
_DUMP: Final = (
    '{"che.audio.frame_dump":{"location":"all","action":"start","max_size_bytes":"120000000",'
    '"uuid":"123456789","duration":"1200000"}}'
)
