// The local channel: one WebSocket that carries audio, control messages and data packets.
//
// Binary: 4 bytes of the sender's uid, big-endian, then pcm16. Text that begins with "{" is control;
// any other text is a data packet, and what is in it is not this file's business.

import { authorize } from "./ticket.js";

const JOIN_MS = 10000;
// 200 ms of 24 kHz pcm16 not yet taken by the network. Beyond it the microphone is dropped: what is
// said late is worse than what is missing.
const BACKLOG = 0.2 * 24000 * 2;
const UID_TAKEN = 4409;

const WHY = {
  1001: "The server is shutting down.",
  1006: "The connection to the server failed.",
  1008: "The server closed the connection.",
  1009: "A message was too large for the server.",
  1011: "The server had an internal error.",
  1012: "The server is restarting.",
  1013: "The server has no room for another call; try again later.",
  4400: "The server refused the connection.",
  [UID_TAKEN]: "Another member has the number that this page drew; try again.",
};

export class ChannelClosed extends Error {
  constructor({ code, reason }) {
    const words = WHY[code] ?? `The channel was closed (${code}).`;
    super(reason ? `${words} (${reason})` : words);
    this.uidTaken = code === UID_TAKEN;
  }
}

export class Channel {
  /** `handlers` has onaudio(uid, Int16Array), oncontrol(message), ondata(text) and onclose(ChannelClosed). */
  constructor(name, uid, handlers) {
    const url = new URL(`channels/${encodeURIComponent(name)}?uid=${uid}`, document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    authorize(url);
    this.uid = uid;
    this.handlers = handlers;
    this.joined = false;
    this.dropped = 0;
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
  }

  /** Resolves when the channel has told who is in it; rejects with ChannelClosed or on a timeout. */
  join() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error("The channel did not answer in time."));
        this.close();
      }, JOIN_MS);
      this.socket.onmessage = ({ data }) => {
        this.receive(data);
        if (!this.joined) return;
        clearTimeout(timer);
        resolve();
      };
      this.socket.onclose = (event) => {
        clearTimeout(timer);
        const closed = new ChannelClosed(event);
        if (this.joined) this.handlers.onclose(closed);
        else reject(closed);
      };
    });
  }

  receive(data) {
    if (typeof data !== "string") this.receiveAudio(data);
    else if (data.startsWith("{")) this.receiveControl(data);
    else this.handlers.ondata(data);
  }

  receiveAudio(data) {
    const samples = (data.byteLength - 4) >> 1;
    if (samples < 1) return;
    // A copy, since the worklet takes the buffer over. Browsers run on little-endian machines only.
    const pcm = new Int16Array(data.slice(4, 4 + 2 * samples));
    this.handlers.onaudio(new DataView(data).getUint32(0), pcm);
  }

  receiveControl(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      console.warn("not a control message:", data.slice(0, 128));
      return;
    }
    if (message.control === "members") this.joined = true;
    this.handlers.oncontrol(message);
  }

  get open() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  sendAudio(pcm) {
    if (!this.open) return;
    if (this.socket.bufferedAmount > BACKLOG) {
      this.dropped++;
      return;
    }
    const message = new Uint8Array(4 + pcm.byteLength);
    new DataView(message.buffer).setUint32(0, this.uid);
    message.set(new Uint8Array(pcm.buffer), 4);
    this.socket.send(message);
  }

  sendControl(message) {
    if (this.open) this.socket.send(JSON.stringify(message));
  }

  sendData(text) {
    if (this.open) this.socket.send(text);
  }

  close() {
    this.handlers = { onaudio() {}, oncontrol() {}, ondata() {}, onclose() {} }; // nothing is told any more
    this.socket.close(1000);
  }
}
