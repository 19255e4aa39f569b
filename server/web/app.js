// The page's state and what it shows; a call itself is in call.js.
//
// idle -> starting -> in-call -> stopping -> idle. `error` is idle with a reason shown. At most one call
// is current; what an earlier one still has to say is ignored.

import { request } from "./api.js";
import { soundAllowed } from "./audio.js";
import { Call } from "./call.js";
import { hasTicket, take } from "./ticket.js";
import { Transcript } from "./transcript.js";
import { TranscriptView } from "./view.js";

const STATES = {
  idle: "Not in a call",
  starting: "Starting…",
  "in-call": "In call",
  stopping: "Stopping…",
  error: "The call failed",
};
const TICKET_NEEDED =
  "This server wants a key, and this page has no ticket that stands for one. " +
  "Open it by a link from your application: …/#channel=NAME&ticket=TICKET";
const TICKET_BAD = "This page's ticket has expired, or is not valid: open the page again by a new link.";
const QUIET_DB = -60; // the foot of the level meters
const METERS = { mic: byId("mic-level"), agent: byId("agent-level") };

const view = new TranscriptView(byId("transcript"), byId("scroll"));
let transcript = new Transcript();
let current = null;
let locked = false; // the server wants a ticket

function byId(id) {
  return document.getElementById(id);
}

function enter(state) {
  const callable = state === "idle" || state === "error";
  document.body.dataset.state = state;
  byId("status").textContent = STATES[state];
  byId("start").disabled = !callable || locked;
  byId("channel-name").readOnly = !callable || hasTicket();
  byId("stop").disabled = state !== "starting" && state !== "in-call";
  byId("text").disabled = byId("send").disabled = state !== "in-call";
  if (callable || state === "stopping") for (const meter of Object.values(METERS)) meter.value = 0;
}

function notify(text, isError = false) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.hidden = !text;
  notice.dataset.kind = isError ? "error" : "info";
}

function showModel({ model, embedded }) {
  byId("model").textContent = model ?? "unknown";
  byId("embedded").hidden = !embedded;
}

function showTurn(turn) {
  if (turn) view.show(transcript.turns, turn);
}

/** What a call may tell the page, for as long as it is the current one. */
function handlersFor(getCall) {
  const whileCurrent = (handler) => (...args) => getCall() === current && handler(...args);
  return {
    onlevel: whileCurrent((who, rms) => {
      // Loudness is heard in decibels: on a linear meter speech would hardly show.
      METERS[who].value = Math.max(0, 1 - (20 * Math.log10(rms)) / QUIET_DB);
    }),
    onnotice: whileCurrent(notify),
    onevent: whileCurrent((event) => showTurn(transcript.apply(event, performance.now()))),
    ontool: whileCurrent((name, error) => showTurn(transcript.used(name, error, performance.now()))),
    onended: whileCurrent(leave),
  };
}

async function start() {
  const call = new Call(byId("channel-name").value.trim(), handlersFor(() => call));
  current = call;
  transcript = new Transcript();
  view.clear();
  notify("");
  enter("starting");
  call.mute(isMuted());
  try {
    const answer = await call.start();
    if (call !== current || call.closed) return;
    if (answer) showModel(answer);
    enter("in-call");
  } catch (error) {
    if (call !== current || call.closed) return;
    leave(error.message, true);
    // A browser does not say why it has no WebSocket.
    if (hasTicket()) showHealth();
  }
}

/** The call is over. */
function leave(text, failed) {
  current.close();
  current = null;
  enter(failed ? "error" : "idle");
  notify(text, failed);
}

async function stop() {
  const call = current;
  enter("stopping");
  notify("");
  try {
    await call.stop();
    if (call === current) leave("", false);
  } catch (error) {
    if (call === current) leave(error.message, true);
  }
}

function isMuted() {
  return byId("mute").ariaPressed === "true";
}

function toggleMute() {
  byId("mute").ariaPressed = String(!isMuted());
  byId("mic-label").textContent = isMuted() ? "You (muted)" : "You";
  current?.mute(isMuted());
}

function say() {
  const text = byId("text").value.trim();
  if (!text || document.body.dataset.state !== "in-call") return;
  current.say(text);
  showTurn(transcript.say(text, performance.now()));
  byId("text").value = "";
}

function lock() {
  locked = byId("start").disabled = true;
  notify(hasTicket() ? TICKET_BAD : TICKET_NEEDED, true);
}

async function showHealth() {
  try {
    const health = await request("healthz");
    showModel(health);
    if (health.key_needed) lock();
  } catch (error) {
    byId("model").textContent = "unknown";
    notify(error.message, true);
  }
}

/** The channel's name lives in the URL's hash, so that a reload or a second tab comes to the same. */
function readHash() {
  const name = current ? byId("channel-name").value : (take(location.hash) ?? nameInHash());
  byId("channel-name").value = name || `demo-${Math.random().toString(36).slice(2, 6).padEnd(4, "0")}`;
  writeHash();
}

function nameInHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // typed by hand and no valid escape: as good as none
  }
}

/** Also takes a ticket out of the address, where it would be copied along. */
function writeHash() {
  history.replaceState(null, "", `#${encodeURIComponent(byId("channel-name").value.trim())}`);
}

byId("call-form").addEventListener("submit", (event) => {
  event.preventDefault(); // the browser has checked the name
  if (!byId("start").disabled) start();
});
byId("stop").addEventListener("click", stop);
byId("mute").addEventListener("click", toggleMute);
byId("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
byId("channel-name").addEventListener("input", writeHash);
addEventListener("hashchange", () => {
  readHash();
  if (current) return;
  locked = false;
  enter("idle");
  showHealth();
});
addEventListener("pagehide", () => current && leave("", false));

readHash();
enter("idle");
if (!soundAllowed()) notify("A microphone and sound need https or localhost. You can still call and type.");
showHealth();
