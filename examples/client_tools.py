"""An agent that uses the web page: the tools are declared here and run there (server/web/tools.js).

    make run ARGS="--tools examples.client_tools:tools"

Open http://127.0.0.1:8080/, press Start and type: What is the page time? The colour is another
thing to ask for: Set the page colour to teal.
"""

from agent.tools import ToolContext

tools = ToolContext()

tools.register_client_function(
    name="get_page_time",
    description="The time of day and the time zone where the user is.",
    parameters={"type": "object", "properties": {}},
)
tools.register_client_function(
    name="set_page_colour",
    description="Change the colour of the buttons on the user's page.",
    parameters={
        "type": "object",
        "properties": {
            "colour": {"type": "string", "description": "a CSS colour, such as teal or #c2185b"}
        },
        "required": ["colour"],
    },
    timeout_s=5,
)
