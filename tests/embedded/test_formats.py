"""G.711 from the client: what it says of the audio is as true as for pcm16."""

import json
import sys
from array import array
from base64 import b64decode, b64encode

import pytest

from agent.embedded.formats import encoded
from tests.embedded.driving import Driver, Event, error_of, loud, quiet, types

LAWS = ["audio/pcmu", "audio/pcma"]


def listen(driver: Driver, law: str, **audio_input: object) -> Event:
    """Make the person's audio G.711; the session after that."""
    [updated] = driver.update(audio={"input": {"format": {"type": law}, **audio_input}})
    session: Event = updated["session"]
    return session


def tone(blocks: int) -> bytes:
    """Speech for the detector that a telephone can carry: 500 Hz."""
    return array("h", ([10_000] * 24 + [-10_000] * 24) * (16 * blocks)).tobytes()


def append(driver: Driver, pcm: bytes, law: str, size: int = 320) -> list[Event]:
    """Append audio as G.711, in pieces of so many bytes in real time; what came meanwhile."""
    count = len(driver.log)
    data = encoded(pcm, law)
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        driver.pass_time(len(piece) / 8_000)
        driver.send("input_audio_buffer.append", audio=b64encode(piece).decode())
    return [event for _, event in driver.log[count:]]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("size", [320, 161, 1])
def test_turns_are_where_they_are_in_pcm(law: str, size: int) -> None:
    pcm = quiet(20) + tone(10) + quiet(20) + tone(5) + quiet(20)
    plain, driver = Driver(), Driver()
    listen(driver, law)
    plain.append(pcm)
    append(driver, pcm, law, size)
    for name, field in (("speech_started", "audio_start_ms"), ("speech_stopped", "audio_end_ms")):
        expected = [e[field] for e in plain.events(f"input_audio_buffer.{name}")]
        found = [e[field] for e in driver.events(f"input_audio_buffer.{name}")]
        assert len(expected) == 2
        assert found == pytest.approx(expected, abs=32)


@pytest.mark.parametrize("law", LAWS)
def test_a_commit_takes_all_that_came(law: str) -> None:
    driver = Driver()
    listen(driver, law, turn_detection=None)
    append(driver, quiet(4), law, size=1_024)
    driver.send("input_audio_buffer.commit")
    [committed] = driver.events("input_audio_buffer.committed")
    [event] = driver.send("conversation.item.retrieve", item_id=committed["item_id"])
    # 128 ms, a byte a sample.
    assert len(b64decode(event["item"]["content"][0]["audio"])) == 1_024


def test_what_comes_back_is_what_went_in() -> None:
    driver = Driver()
    listen(driver, "audio/pcmu", turn_detection=None)
    append(driver, tone(10), "audio/pcmu")
    driver.send("input_audio_buffer.commit")
    [committed] = driver.events("input_audio_buffer.committed")
    [event] = driver.send("conversation.item.retrieve", item_id=committed["item_id"])
    audio = b64decode(event["item"]["content"][0]["audio"])
    assert len(audio) == 2_560
    # Speech and no silence: neither law's silence is in the midst of it.
    assert 0xFF not in audio[800:1_600]


@pytest.mark.parametrize("law", LAWS)
def test_too_little_is_measured_in_g711(law: str) -> None:
    driver = Driver()
    listen(driver, law, turn_detection=None)
    driver.send("input_audio_buffer.append", audio=b64encode(bytes(799)).decode())
    error = error_of(driver.send("input_audio_buffer.commit"))
    assert "buffer only has 99.88ms of audio." in error["message"]
    driver.send("input_audio_buffer.append", audio=b64encode(bytes(1)).decode())
    assert types(driver.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_half_a_sample_is_refused_in_pcm_only() -> None:
    driver = Driver()
    error = error_of(driver.send("input_audio_buffer.append", audio="AAAA"))
    assert (error["code"], error["param"]) == ("invalid_value", "audio")
    assert "mono PCM16 at 24kHz" in error["message"]
    part = {"type": "input_audio", "audio": "AAAA"}
    item = {"type": "message", "role": "user", "content": [part]}
    error = error_of(driver.send("conversation.item.create", item=item))
    assert (error["code"], error["param"]) == ("invalid_value", "item.content[0].audio")
    listen(driver, "audio/pcmu")
    assert driver.send("input_audio_buffer.append", audio="AAAA") == []
    assert len(driver.send("conversation.item.create", item=item)) == 2


def test_created_audio_lasts_as_long_as_its_format_says() -> None:
    driver = Driver(voice_seconds=1)
    listen(driver, "audio/pcma")
    part = {"type": "input_audio", "audio": b64encode(bytes(8_000)).decode()}
    item = {"type": "message", "role": "user", "content": [part]}
    driver.send("conversation.item.create", item=item)
    driver.send("response.create")
    assert "heard you speak for 1.0 seconds" in driver.requests[0].text


def test_positions_go_on_when_the_format_changes() -> None:
    driver = Driver()
    detection = {"type": "server_vad", "create_response": False}
    driver.update(audio={"input": {"turn_detection": detection}})
    driver.append(quiet(20))
    for law in LAWS:
        listen(driver, law)
        append(driver, quiet(20) + tone(10) + quiet(20), law)
    driver.update(audio={"input": {"format": {"type": "audio/pcm", "rate": 24_000}}})
    driver.append(quiet(20) + loud(10) + quiet(20))
    starts = [e["audio_start_ms"] for e in driver.events("input_audio_buffer.speech_started")]
    assert starts == pytest.approx([n * 32 - 300 for n in (40, 90, 140)], abs=32)


def test_clearing_forgets_what_the_conversion_held_back() -> None:
    driver = Driver()
    listen(driver, "audio/pcmu", turn_detection=None)
    append(driver, tone(5), "audio/pcmu")
    driver.send("input_audio_buffer.clear")
    error = error_of(driver.send("input_audio_buffer.commit"))
    assert "buffer only has 0.00ms of audio." in error["message"]


def test_a_huge_append_is_heard_in_pieces() -> None:
    driver = Driver()
    listen(driver, "audio/pcmu")
    silence = b64encode(b"\xff" * 400_000).decode()
    driver.engine.receive(
        json.dumps({"type": "input_audio_buffer.append", "audio": silence}), driver.now
    )
    assert driver.engine.next_deadline() == driver.now
    driver.send("input_audio_buffer.clear")
    assert driver.engine.next_deadline() != driver.now


def test_the_session_tells_the_format() -> None:
    driver = Driver()
    assert listen(driver, "audio/pcma")["audio"]["input"]["format"] == {"type": "audio/pcma"}
    [updated] = driver.update(audio={"input": {"format": {"type": "audio/pcm"}}})
    expected = {"type": "audio/pcm", "rate": 24_000}
    assert updated["session"]["audio"]["input"]["format"] == expected
    listen(driver, "audio/pcma")
    [updated] = driver.update(audio={"input": {"format": None}})
    assert updated["session"]["audio"]["input"]["format"] == expected


@pytest.mark.parametrize("side", ["input", "output"])
def test_without_the_libraries_g711_is_refused(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "audioop", None)
    error = error_of(driver.update(audio={side: {"format": {"type": "audio/pcmu"}}}))
    assert error["code"] == "invalid_value"
    assert error["param"] == f"session.audio.{side}.format.type"
    assert "the extra g711" in error["message"]
    output = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    error = error_of(driver.send("response.create", response=output))
    assert error["param"] == "response.audio.output.format.type"
