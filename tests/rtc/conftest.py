"""A stand-in for Agora, for the tests that want one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.fakes.agora import agora_cloud

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud


@pytest.fixture
def cloud() -> Iterator["Cloud"]:
    with agora_cloud() as cloud:
        yield cloud
