"""A module of tools that never finishes its import, in C and with the GIL held."""

from tests.supervisor.harmful import sleep_with_the_gil

sleep_with_the_gil()
