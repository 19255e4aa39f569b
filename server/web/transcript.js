// Who said what, in order: applies transcript events to a list of turns. No page in here.

const TURNS = 400; // kept; the oldest goes first
// What the user said is often written down only after the answer has begun. A user's turn that is
// heard of for the first time goes before an answer as young as this, if that has no question yet.
const LATE_MS = 3000;

const EVENTS = {
  "response.audio_transcript.delta": { role: "agent", final: false },
  "response.audio_transcript.done": { role: "agent", final: true },
  "conversation.item.input_audio_transcription.delta": { role: "user", final: false },
  "conversation.item.input_audio_transcription.completed": { role: "user", final: true },
};

export class Transcript {
  constructor() {
    this.turns = [];
    this.made = 0; // turns that no event told of
  }

  /** Apply an event that came at `now` (ms); returns the turn that it changed, or null. */
  apply(event, now) {
    const kind = Object.hasOwn(EVENTS, event?.type) ? EVENTS[event.type] : null;
    const text = kind?.final ? event.transcript : event?.delta;
    if (!kind || typeof event.item_id !== "string" || typeof text !== "string") return null;
    const turn = this.find(event, kind.role, now);
    if (kind.final) this.settle(turn, text, event);
    else if (turn.final) return null; // a delta that was overtaken
    else turn.text += text;
    return turn;
  }

  /** Add what the user typed: the page knows it first, and nobody sends it back. */
  say(text, now) {
    return this.make("user", text, now);
  }

  /** Add that the agent used a tool of the page, or tried to: then `error` says what became of it. */
  used(name, error, now) {
    return this.make("tool", error ? `the agent tried ${name}: ${error}` : `the agent used ${name}`, now);
  }

  make(role, text, now) {
    const key = `made-${++this.made}`;
    const turn = { key, itemId: key, role, text, final: true, cut: false, began: now };
    this.insert(this.turns.length, turn);
    return turn;
  }

  find(event, role, now) {
    const key = `${event.item_id} ${event.content_index ?? 0}`;
    const known = this.turns.find((turn) => turn.key === key);
    if (known) return known;
    const turn = { key, itemId: event.item_id, role, text: "", final: false, cut: false, began: now };
    this.insert(role === "user" ? this.beforeAnswer(now) : this.turns.length, turn);
    return turn;
  }

  beforeAnswer(now) {
    const isAnswer = ({ role, cut, began }) => role !== "user" && !cut && now - began <= LATE_MS;
    const before = this.turns.findLastIndex((turn) => !isAnswer(turn));
    return this.turns[before]?.role === "user" ? this.turns.length : before + 1;
  }

  insert(at, turn) {
    this.turns.splice(at, 0, turn);
    if (this.turns.length > TURNS) this.turns.shift();
  }

  settle(turn, text, { interrupted, audio_end_ms: heardMs }) {
    Object.assign(turn, { text, cut: interrupted === true, heardMs, final: true });
    // Noise taken for speech, or an answer of which nothing was heard: no turn after all.
    if (!text.trim()) this.turns = this.turns.filter((other) => other !== turn);
  }
}
