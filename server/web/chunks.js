// JSON messages as data packets: `msg_id|part|parts|base64`, ASCII, at most 1,024 bytes each.

const PACKET = 1024;
const PARTS = 256; // of one message: no transcript comes near, and a liar cannot fill the memory
const UNFINISHED = 64; // messages; the oldest goes first
const FINISHED = 256; // ids remembered, so that a packet sent twice is not read twice
const PATIENCE_MS = 5000;
const SHAPE = /^([^|]{1,32})\|(\d{1,3})\|(\d{1,3})\|([A-Za-z0-9+/]*={0,2})$/;

/** Cut an object into packets. `id` must be new for every message. */
export function split(message, id = newId()) {
  const bytes = new TextEncoder().encode(wellFormed(JSON.stringify(message)));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const room = PACKET - `${id}|${PARTS}|${PARTS}|`.length;
  const parts = Math.max(1, Math.ceil(text.length / room));
  return Array.from({ length: parts }, (_, n) => `${id}|${n + 1}|${parts}|${text.slice(n * room, (n + 1) * room)}`);
}

/** JSON text without halves of surrogate pairs, as of a text cut within an emoji: the agent takes none. */
const wellFormed = (json) => json.replace(/\\(?:ud...|.)/g, (escape) => (escape.length > 2 ? "\ufffd" : escape));

const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Puts packets together, in whatever order they come. */
export class Assembler {
  constructor() {
    this.unfinished = new Map(); // id -> {parts, slices, since}, oldest first
    this.finished = new Set();
  }

  /** Take a packet that came at `now` (ms); returns the message that it completes, or null. */
  push(packet, now) {
    this.forgetOld(now);
    const [, id, part, parts, slice] = packet.length <= PACKET ? (SHAPE.exec(packet) ?? []) : [];
    if (!id || this.finished.has(id) || +part < 1 || +part > +parts || +parts > PARTS) return null;
    const entry = this.entry(id, +parts, now);
    if (entry.parts !== +parts || entry.slices.has(+part)) return null;
    entry.slices.set(+part, slice);
    return entry.slices.size === entry.parts ? this.finish(id, entry) : null;
  }

  entry(id, parts, now) {
    if (!this.unfinished.has(id)) {
      this.unfinished.set(id, { parts, slices: new Map(), since: now });
      trim(this.unfinished, UNFINISHED);
    }
    return this.unfinished.get(id);
  }

  finish(id, { parts, slices }) {
    this.unfinished.delete(id);
    this.finished.add(id);
    trim(this.finished, FINISHED);
    return decode(Array.from({ length: parts }, (_, n) => slices.get(n + 1)).join(""));
  }

  forgetOld(now) {
    for (const [id, { since }] of this.unfinished) {
      if (now - since <= PATIENCE_MS) break;
      this.unfinished.delete(id);
    }
  }
}

function trim(collection, limit) {
  if (collection.size > limit) collection.delete(collection.keys().next().value);
}

function decode(base64) {
  try {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    console.warn("a data message that cannot be read:", error.message);
    return null;
  }
}
