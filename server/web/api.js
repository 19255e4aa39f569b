// The server's HTTP calls, with its errors in words.

import { headers } from "./ticket.js";

/**
 * GET `path`, or POST `body` to it as JSON; returns the answer or throws an Error to show as it is, which has
 * the answer's `status` and `code` if there was one.
 */
export async function request(path, { body, seconds = 10 } = {}) {
  const response = await send(path, body, seconds);
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const error = new Error(words(response, answer));
  throw Object.assign(error, { status: response.status, code: answer.code });
}

async function send(path, body, seconds) {
  const options = { signal: AbortSignal.timeout(seconds * 1000), cache: "no-store", headers: headers() };
  if (body) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    options.headers["Content-Type"] = "application/json";
  }
  try {
    return await fetch(new URL(path, document.baseURI), options);
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Error(late ? "The server did not answer in time." : "The server cannot be reached.");
  }
}

function words(response, { error, details }) {
  const said = [error ?? `The server answered with status ${response.status}`];
  for (const { path, message } of Array.isArray(details) ? details : []) said.push(`${path}: ${message}`);
  const wait = response.headers.get("Retry-After");
  if (wait) said.push(`try again in ${wait} seconds`);
  return `${said.join("; ")}.`.replace(/\.\.$/, ".");
}
