"""The server's profiles: read when it starts, and again when their file was changed."""

import logging
from pathlib import Path
from typing import Final

import trio

from agent.config import environment
from agent.errors import ConfigError
from agent.profiles import Profile, Profiles, UnknownProfile, find_profile, read_profiles
from server.stamp import stamp_of

READ_S: Final = 10.0
"""Within which the modules of the tools are imported: it is a request that waits for it."""

_log = logging.getLogger(__name__)


class ProfilesFile:
    """The profiles of a file; without a file there are none.

    A file that is broken when it is read again is refused, with one line in the log, and the old
    profiles stay until it is changed once more.

    :raises ConfigError: the file is broken at the start.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._profiles: Profiles = {}
        self._is_broken = False
        # One thread at a time: one whose import hangs holds it, and cannot be multiplied.
        self._thread = trio.CapacityLimiter(1)
        self._reading = trio.Lock()
        if path is not None:
            self._stamp = stamp_of(path)
            try:
                self._profiles = read_profiles(path, environment())
            except ConfigError as error:
                raise ConfigError(f"PROFILES_FILE: {error}") from error

    async def find(self, name: str) -> Profile:
        """The profile of this name, of the file as it is now.

        Modules are imported on a thread, so that no one else waits for them. Cancelled, or where
        they take too long, the thread is left to itself and what it finds is lost.

        :raises UnknownProfile: there is none.
        """
        if self._path is not None:
            async with self._reading:
                await self._look_again(self._path)
        try:
            return find_profile(self._profiles, name)
        except UnknownProfile as error:
            if self._is_broken:
                words = f"{error} (the file was changed since, and is broken: see the server's log)"
                raise UnknownProfile(words) from None
            raise

    async def _look_again(self, path: Path) -> None:
        stamp = stamp_of(path)
        if stamp == self._stamp:
            return
        self._is_broken = True
        try:
            with trio.fail_after(READ_S):
                self._profiles = await trio.to_thread.run_sync(
                    read_profiles,
                    path,
                    environment(),
                    abandon_on_cancel=True,
                    limiter=self._thread,
                )
        except ConfigError as error:
            _log.error("PROFILES_FILE: the old profiles stay: %s", error)
        except trio.TooSlowError:
            text = "PROFILES_FILE: the old profiles stay: %s: its tools take more than %g s"
            _log.error(text, path, READ_S)
        else:
            self._is_broken = False
            _log.info("PROFILES_FILE: read again: %s", ", ".join(self._profiles) or "none")
        self._stamp = stamp
