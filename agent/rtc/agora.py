"""Agora's channels, through Agora's own wrapper `agora-realtime-ai-api` 1.1.0 and the SDK under it.

This is the one file that imports either of them. What they are known to do, and what is done about
it here and in agora_sdk.py:

- The import switches off the verification of TLS for the whole process, may exit the interpreter,
  and installs log handlers that print tokens: each is undone or translated (`_load`).
- The wrapper would log into the virtual environment, and takes no notice of a failure to start:
  `_engine` makes its engine with a log file of ours.
- Its waits can last for ever and its events lose the reason, the token's end and the outages. Its
  observer's methods are replaced by ours, which only note what happened and never call the SDK; so
  nothing of a call depends on the wrapper's own tasks.
- It releases nothing but the service: here all is given back, in the order that the SDK asks for.
- One process holds one SDK service, so there is one channel a process.
"""

import logging
import os
import shutil
import ssl
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final

import trio
from attrs import field, frozen

from agent.config import check_project
from agent.errors import ChannelError, ConfigError, one_line
from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.agora_sdk import SdkMember
from agent.rtc.agora_token import build_token
from agent.rtc.asyncio_thread import open_asyncio_thread
from agent.rtc.handover import AudioHandover

_NOISY: Final = (
    "agora_realtime_ai_api.rtc",
    "agora_realtime_ai_api.token_builder.realtimekit_token_builder",
)

_PREFIX: Final = "trio-voice-agent-"
INVALID_APP_ID: Final = 101
"""ERR_INVALID_APP_ID of the SDK's ERROR_CODE_TYPE."""

_in_use = threading.Lock()


@frozen(kw_only=True)
class Project:
    """An Agora project, as the operator set it up.

    :ivar certificate: None: the project needs no tokens.
    :ivar token_ttl_s: seconds that a token of ours is good for; it is renewed before its end.
    :ivar log_dir: where the SDK writes its log; None: nowhere that lasts.
    :ivar pcm_dump: the SDK's own dump of its audio.
    """

    app_id: str
    certificate: str | None = field(default=None, repr=False)
    token_ttl_s: int = 86_400
    log_dir: Path | None = None
    pcm_dump: bool = False


@asynccontextmanager
async def open_agora_channel(
    project: Project, name: str, uid: int, *, warn_at: int = 5
) -> AsyncIterator[AgoraChannel]:
    """Join an Agora channel; it is left, and the SDK given back, when the context exits.

    Leaving takes `agora_channel.LEAVE_S` at most, also where the SDK does not answer.

    :param uid: our own; 0 lets Agora choose.
    :raises ConfigError: Agora's SDK is not installed or can't be loaded, or the project is not
        right.
    :raises ChannelError: the channel can't be joined.
    """
    check_project(project.app_id, project.certificate)
    with _sole_use(), _log_file(project) as log_path:
        async with open_asyncio_thread("agora") as thread:
            audio = AudioHandover(warn_at=warn_at)
            start = partial(_engine, app_id=project.app_id, log_path=log_path)
            member = SdkMember(thread, audio, load=_load, start=start)
            channel = AgoraChannel(
                member,
                uid,
                make_token=partial(_token, project, name, uid),
                token_ttl_s=project.token_ttl_s if project.certificate else None,
                audio=audio,
            )
            try:
                await member.open(
                    channel, channel_name=name, uid=uid, enable_pcm_dump=project.pcm_dump
                )
                await channel.join()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(channel.keep)
                    yield channel
                    nursery.cancel_scope.cancel()
            finally:
                await channel.leave()


def _token(project: Project, name: str, uid: int) -> str:
    if project.certificate is None:
        return ""
    return build_token(project.app_id, project.certificate, name, uid, ttl_s=project.token_ttl_s)


@contextmanager
def _sole_use() -> Iterator[None]:
    if not _in_use.acquire(blocking=False):
        raise ChannelError("this process is in an Agora channel already: one agent, one process")
    try:
        yield
    finally:
        _in_use.release()


@contextmanager
def _log_file(project: Project) -> Iterator[Path]:
    """Where the SDK may write its log; with its dump it is kept, which may lie beside it."""
    name = f"agorasdk-{os.getpid()}.log"
    wanted = project.log_dir or (Path() if project.pcm_dump else None)
    if wanted is None:
        _sweep(Path(gettempdir()))
        with TemporaryDirectory(
            prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True
        ) as it:
            yield Path(it) / name
    else:
        try:
            (wanted / name).touch()
        except OSError as error:
            raise ConfigError(f"AGORA_LOG_DIR: {wanted}: {error.strerror}") from error
        yield wanted / name


def _sweep(directory: Path) -> None:
    """Delete what agents that were killed have left."""
    for left in directory.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


async def _load() -> Any:
    """The wrapper's module, imported without the marks that the import leaves on the process."""
    verified = ssl._create_default_https_context
    with _listening_to("agora") as said:
        try:
            import agora_realtime_ai_api.rtc as sdk
        except ImportError as error:
            raise _unusable("is not installed as it should be", error) from error
        except SystemExit as error:
            raise _unusable("can't load its native library", " ".join(said)) from error
        except (OSError, zipfile.BadZipFile) as error:
            raise _unusable("can't get its native library", error) from error
        except AttributeError as error:  # the library has not what the SDK wants of it
            raise _unusable("does not go with its native library", error) from error
        finally:
            ssl._create_default_https_context = verified
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    return sdk


def _unusable(what: str, why: object) -> ConfigError:
    words = f"Agora's SDK {what}: {one_line(str(why))}"
    return ConfigError(f"{words} (Linux x86_64 with libc++1 is needed; RTC=local does without it)")


@contextmanager
def _listening_to(name: str) -> Iterator[list[str]]:
    """Keep what is logged under a name instead of logging it.

    Afterwards only warnings and errors are logged: below them the SDK's parts log tokens.
    """
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def _engine(sdk: Any, *, app_id: str, log_path: Path) -> Any:
    """The wrapper's engine, with another log file and with a look at whether it started."""

    class Engine(sdk.RtcEngine):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            # No certificate: tokens are made here, and not by the wrapper, which prints them.
            self.appid, self.appcert = app_id, ""
            self.agora_service = sdk.AgoraService()
            config = sdk.AgoraServiceConfig(
                appid=app_id,
                log_path=str(log_path),
                audio_scenario=sdk.AudioScenarioType.AUDIO_SCENARIO_CHORUS,
            )
            code = self.agora_service.initialize(config)
            if abs(code) == INVALID_APP_ID:
                raise ConfigError(f"AGORA_APP_ID: Agora's SDK does not take it (its error {code})")
            if code != 0:
                raise ChannelError(f"Agora's SDK did not start (its error {code})")

    return Engine()
