// What this page can do for the agent: tools that run here, and that the model calls.
//
// Asked: {"type": "client_tool_call", "tool_call_id", "name", "arguments"}; answered: {"tool_call_id", "result"}.
// The agent offers a tool to its model only where it has declared it: see examples/client_tools.py.
//
// The arguments are a model's words, and may be anybody's in the channel: each tool looks at its own, and
// none of them becomes code or HTML.

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const RESULT = 32 * 1024; // bytes of JSON: what the agent gives its model, and less than it takes in one message

/** By name: functions, async or not, that take the arguments and return JSON or throw an Error for the model. */
export const TOOLS = new Map([
  ["get_page_time", getPageTime],
  ["set_page_colour", setPageColour],
]);

/** Whether a data message asks the client of this uid for a tool; what cannot be answered or shown is no call. */
export function isToolCall(message, uid) {
  if (message?.type !== "client_tool_call" || (message.uid ?? uid) !== uid) return false;
  return typeof message.tool_call_id === "string" && typeof message.name === "string" && NAME.test(message.name);
}

/** Run a call; resolves, whatever becomes of it, with its `result` and, where that is an error, its words. */
export async function run({ name, arguments: given }, tools = TOOLS) {
  try {
    const tool = tools.get(name);
    if (!tool) throw new Error(`this page has no ${name}; it has: ${[...tools.keys()].join(", ")}`);
    return { result: checked(await tool(given ?? {})) };
  } catch (thrown) {
    const error = String(thrown?.message || thrown).slice(0, 1000);
    return { result: { error }, error };
  }
}

/** The result, which is JSON and not too long; nothing is null. */
function checked(result) {
  const text = JSON.stringify(result ?? null);
  if (text === undefined) throw new Error("the result is not JSON");
  const size = new TextEncoder().encode(text).length;
  if (size > RESULT) throw new Error(`the result has ${size} bytes; at most ${RESULT} are allowed`);
  return JSON.parse(text);
}

function getPageTime() {
  const now = new Date();
  const time = now.toLocaleString("sv-SE"); // Swedish is the locale that writes 2026-11-23 10:15:30
  return { time, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
}

/** The accent: the buttons, the microphone's meter, the mark of a call. Stays until the page is loaded again. */
function setPageColour({ colour }) {
  const rgb = opaque(colour);
  if (!rgb) throw new Error("colour must be an opaque CSS colour, such as teal or #c2185b");
  const { style } = document.documentElement;
  style.setProperty("--accent", rgb);
  style.setProperty("--on-accent", isLight(rgb) ? "#000000" : "#ffffff");
  return { colour: rgb };
}

/** As #rrggbb, or null. A canvas knows colours and, other than a style sheet, nothing like var(). */
function opaque(colour) {
  if (typeof colour !== "string" || colour.length > 64) return null;
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = "transparent";
  context.fillStyle = colour; // what is no colour changes nothing
  return /^#[0-9a-f]{6}$/.test(context.fillStyle) ? context.fillStyle : null;
}

/** Whether black is read on it more easily than white: WCAG's relative luminance. */
function isLight(rgb) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(rgb.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
}
