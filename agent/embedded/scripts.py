"""A script: what the person is taken to say in each spoken turn, because the model cannot hear it.

Its file is text, one turn a line. A blank line is a turn whose words nobody knows, and so is every
turn after the last line: for these the model says that it only heard speech.
"""

from pathlib import Path
from typing import Final

from agent.embedded.answers.words import Understanding
from agent.embedded.files import read_file
from agent.errors import ConfigError

MAX_LINE: Final = 1_000
"""Characters; as many as the model says in one answer."""


def script(text: str) -> Understanding:
    """The understanding that a script's text gives: turns are counted from 1.

    :raises ConfigError: a line is too long.
    """
    lines = [line.strip() or None for line in text.splitlines()]
    for number, line in enumerate(lines, start=1):
        if line is not None and len(line) > MAX_LINE:
            raise ConfigError(f"line {number} is longer than {MAX_LINE} characters")
    return lambda turn: lines[turn - 1] if turn <= len(lines) else None


def read_script(path: Path) -> Understanding:
    """A script out of a file (UTF-8), which is read now.

    :raises ConfigError: it cannot be read; the text names the file.
    """
    return read_file(path, script)
