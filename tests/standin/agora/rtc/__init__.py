"""A stand-in for Agora's SDK 2.1.7 as Python programs see it.

As with the SDK, importing it makes HTTPS unverified in the whole process, and can end the process:
the SDK loads a native library here, and downloads it if it has to.
"""

import logging
import ssl
import sys
import urllib.error
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.standin.agora_standin import CLOUD
else:
    from agora_standin import CLOUD

ssl._create_default_https_context = ssl._create_unverified_context  # type: ignore[assignment]
logger = logging.getLogger(__name__)


def _load() -> None:
    outcome = CLOUD.plan.import_
    if outcome == "download_fails":
        raise urllib.error.URLError("the native library cannot be downloaded")
    if outcome == "missing_library":
        raise OSError("libagora-fdkaac.so: cannot open shared object file")
    if outcome == "exit":
        logger.error("the native library cannot be loaded")
        sys.exit(1)


_load()
