"""What is in deploy/: that it says what it must, and that systemd reads it."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from server.connections.serving import GRACE_S
from server.operating.webhook import DRAIN_S

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "deploy" / "trio-voice-agent.service"
COMPOSE = ROOT / "deploy" / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
AGENTS_S = 8.0 + 5.0
"""From SIGTERM to SIGKILL of an agent, and to its exit."""


def service() -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation says
    parser.read(UNIT)
    return dict(parser["Service"])


def lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines()]


def test_the_unit_stops_the_server_in_order_and_hems_it_in() -> None:
    told = service()
    assert told["ExecStart"].endswith("/bin/trio-voice-server")
    assert 'trio-voice-server = "server.__main__:main"' in (ROOT / "pyproject.toml").read_text()
    wanted = {
        "Type": "exec",
        "KillMode": "mixed",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "2",
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
    }
    assert {name: told[name] for name in wanted} == wanted
    assert int(told["LimitNOFILE"]) >= 65536
    assert told["WorkingDirectory"] == f"/var/lib/{told['StateDirectory']}"
    assert Path(told["EnvironmentFile"]).is_absolute()  # not there: no start


def test_both_leave_the_time_that_an_orderly_end_takes() -> None:
    needed_s = AGENTS_S + GRACE_S + DRAIN_S
    [grace] = re.findall(r"stop_grace_period: (\d+)s", COMPOSE.read_text())
    [timeout] = re.findall(r"--stop-timeout (\d+)", DOCKERFILE.read_text())
    for seconds in (service()["TimeoutStopSec"], grace, timeout):
        assert int(seconds) > needed_s


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text()))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_reaps_confines_and_listens_on_this_machine_only() -> None:
    told = lines(COMPOSE)
    for wanted in (
        "context: ..",
        "env_file: ../.env",
        "init: true",
        "restart: unless-stopped",
        "read_only: true",
        "- no-new-privileges:true",
    ):
        assert wanted in told, wanted
    assert [line for line in told if line.endswith('8080"')] == ['- "127.0.0.1:8080:8080"']


def test_what_compose_names_is_what_the_image_has() -> None:
    image = DOCKERFILE.read_text()
    [uid] = re.findall(r"useradd .*--uid (\d+)", image)
    [home] = re.findall(r"--home-dir (\S+)", image)
    assert f"- {home}:uid={uid},gid={uid},mode=0700" in lines(COMPOSE)
    assert f"WORKDIR {home}" in image
    assert "/healthz" in image  # its own health check, which compose leaves as it is
    # Exec form: a shell in between would not hand SIGTERM on.
    assert re.search(r'^CMD \["python", "-m", "server"\]$', image, re.MULTILINE)
