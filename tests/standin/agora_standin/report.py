"""What happened, written down for the process that started this one."""

import atexit
import json
from pathlib import Path
from typing import Any

from attrs import asdict

from .cloud import Cloud
from .person import Person


def report_at_the_end(cloud: Cloud) -> None:
    """Write the plan's report whenever a connection is released, and when the process ends."""

    def write() -> None:
        path = Path(cloud.plan.report)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(report(cloud)))
        draft.replace(path)

    cloud.at_release.append(write)
    atexit.register(write)


def report(cloud: Cloud) -> dict[str, Any]:
    """All of it, in what JSON has."""
    channels = {connection.channel_name for connection in cloud.connections} - {""}
    return {
        "calls": [asdict(call) for call in list(cloud.calls)],
        "callbacks": [asdict(call) for call in list(cloud.callbacks)],
        "violations": list(cloud.violations),
        "callback_errors": [repr(error) for error in list(cloud.callback_errors)],
        "people": [_of_person(person) for person in cloud.people],
        "members": {name: cloud.members(name) for name in channels},
        "buffers": [
            {"sent": b.sent, "overflowed": b.overflowed, "cleared": b.cleared, "gaps": b.gaps}
            for b in (track.buffer for track in cloud.tracks)
        ],
    }


def _of_person(person: Person) -> dict[str, Any]:
    heard = list(person.heard)
    return {
        "uid": person.uid,
        "heard_bytes": sum(len(piece.pcm) for piece in heard),
        "heard_loud_bytes": sum(len(piece.pcm) for piece in heard if any(piece.pcm)),
        "first_heard_at": heard[0].at if heard else None,
        "last_heard_at": heard[-1].at if heard else None,
        "messages": [
            {"uid": m.uid, "stream": m.stream, "data": m.data.decode("utf-8", "replace")}
            for m in list(person.messages)
        ],
        "others": sorted(person.others),
    }
