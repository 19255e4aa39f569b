"""Two tools that come with the agent. Like any other they are there only where the operator names
them: `--tools agent.tools.builtin:hang_up,agent.tools.builtin:transfer_note`.
"""

from typing import Final

from agent.tools.declaring import tool
from agent.tools.run_context import RunContext

LAST_WORDS_S: Final = 120.0
"""The longest goodbye."""


# Spoken over, the goodbye was none: the call goes on.
@tool(timeout_s=LAST_WORDS_S, on_interruption="cancel", responds=False)
async def hang_up(context: RunContext, reason: str = "") -> str:
    """End the call. Say goodbye first: the call ends when your last words have been heard.

    :param reason: why, in a few words, for the log.
    """
    await context.heard()
    context.end_call(f"hung up by the agent: {reason}" if reason else "hung up by the agent")
    return "the call ends"


@tool(on_interruption="finish")
async def transfer_note(context: RunContext, summary: str, to: str = "") -> str:
    """Leave a note on this call for the people who take over from you.

    :param summary: who is calling, what they want, and what has been done.
    :param to: whom the note is for, such as a department.
    """
    context.report({"type": "transfer_note", "summary": summary, "to": to})
    return "noted"
