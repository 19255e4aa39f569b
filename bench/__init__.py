"""How fast the agent is, and how much it needs: `python -m bench`, beside a bare loop.

Speed is only worth knowing beside something that ran on the same machine in the same minute.
That is the bare loop (`bare`): the smallest program of Trio, trio-websocket and orjson that does
the same work. Nothing here passes or fails.

One run of a call has three processes: `model` is the other end of the WebSocket, `call` is what
is measured, and this one starts them, and joins the time stamps that both have kept. A monotonic
clock is the same in all processes of a machine.

Two parts measure what a person hears of real calls: there a server and an agent of its own are what
is measured, and this process is the person's end of the channel (`far_end`).
"""
