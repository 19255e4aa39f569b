"""An MCP server that misbehaves, as its first argument says. It imports nothing slow.

Its process id and group go to standard error when it starts.
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

STUBBORN = ("stubborn", "apart")
OBJECT = {"type": "object"}
PAGES = [
    [{"name": "search", "inputSchema": OBJECT}, {"name": "bad", "inputSchema": {"type": "string"}}],
    [{"name": "worse"}, {"name": "search", "inputSchema": OBJECT, "description": "The later."}],
    [{"name": "files/räd", "inputSchema": OBJECT}, {"name": "crash", "inputSchema": OBJECT}],
]


def say(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def tell(words: object) -> None:
    print(words, file=sys.stderr, flush=True)


def result(way: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        version = params["protocolVersion"]
        info = {"name": "faulty", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        if way == "other":  # what has changed before there was a list, is in it
            say(method="notifications/tools/list_changed")
        page = int(params.get("cursor", 0))
        following = {"nextCursor": str(page + 1)} if page + 1 < len(PAGES) else {}
        return {"tools": PAGES[page], **following}
    if params["name"] == "crash":
        tell("dying")
        os._exit(3)
    if way == "huge":
        return {"content": [{"type": "text", "text": "x" * 5_000_000}]}
    if way == "mad":
        return {"content": "no list"}
    return {"content": [{"type": "text", "text": f"from {way}"}]}


def main(way: str) -> None:
    tell(f"pid {os.getpid()}")
    tell(f"group {os.getpgrp()}")
    if way == "apart":
        os.setsid()
    if way == "secret":
        tell(f"my token is {os.environ['TOKEN']}")
    if way == "dies":
        tell("no such database")
        sys.exit(4)
    if way in STUBBORN:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # It holds this process's pipes open.
        tell(f"child {subprocess.Popen(['sleep', '60']).pid}")
    if way == "noisy":
        for n in range(200):
            print(f"out {n}", flush=True)
            tell(f"err {n}")
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or way == "hangs":
            continue
        say(id=message["id"], result=result(way, message["method"], message.get("params", {})))
    while way in STUBBORN:
        time.sleep(60)


main(sys.argv[1])
