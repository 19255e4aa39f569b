// The sound of a call on the page's side: one microphone, and one speaker for each member heard.

const RATE = 24000;
const MEMBERS = 16; // heard at once; a bound against a channel full of noise
const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/** Whether this page may use worklets and a microphone at all: browsers want https or localhost. */
export const soundAllowed = () => window.isSecureContext && Boolean(navigator.mediaDevices);

export class CallAudio {
  /**
   * `onpcm(Int16Array)` gets the microphone, `onlevel(uid, rms)` levels (uid null: the microphone's), and
   * `onplayed(uid, samples)` how many of a member's samples were put out since it was last told.
   */
  constructor({ onpcm, onlevel, onplayed, onlost }) {
    Object.assign(this, { onpcm, onlevel, onplayed, onlost });
    this.speakers = new Map();
    this.contexts = [];
    this.closed = false;
    this.muted = false;
  }

  /** Get ready to play. Call it from the click: a context made later may not be allowed to sound. */
  async open() {
    this.context = this.newContext({ sampleRate: RATE, latencyHint: "interactive" });
    await this.context.audioWorklet.addModule(new URL("speaker.js", import.meta.url));
  }

  newContext(options) {
    const context = new AudioContext(options);
    this.contexts.push(context);
    context.resume().catch(() => {}); // closed meanwhile
    return context;
  }

  /** Ask for the microphone and start it; rejects with the browser's error where there is none. */
  async listen() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    this.stream = stream;
    if (this.closed) return this.stopTracks();
    const [track] = stream.getAudioTracks();
    track.enabled = !this.muted;
    track.onended = () => this.closed || this.onlost();
    const source = this.source(stream);
    await source.context.audioWorklet.addModule(new URL("microphone.js", import.meta.url));
    if (this.closed) return;
    const node = new AudioWorkletNode(source.context, "microphone", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => this.heard(data);
    // It puts out silence; connected all the same, since some browsers run only what leads somewhere.
    source.connect(node).connect(source.context.destination);
  }

  source(stream) {
    try {
      return this.context.createMediaStreamSource(stream);
    } catch (error) {
      // Firefox: a stream goes only into a context of its device's rate. The worklet resamples then.
      if (error.name !== "NotSupportedError") throw error;
      return this.newContext({ latencyHint: "interactive" }).createMediaStreamSource(stream);
    }
  }

  heard({ pcm, level }) {
    if (this.closed) return;
    if (level !== undefined) this.onlevel(null, this.muted ? 0 : level);
    else if (!this.muted) this.onpcm(pcm);
  }

  mute(muted) {
    this.muted = muted;
    // Off at its source as well: then the browser shows the microphone as off.
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  play(uid, pcm) {
    // A context that the system has halted (a phone call) must not hold this back and say it later.
    if (this.closed || this.context?.state !== "running") return;
    const speaker = this.speakers.get(uid) ?? this.newSpeaker(uid);
    speaker?.port.postMessage({ pcm }, [pcm.buffer]);
  }

  newSpeaker(uid) {
    if (this.speakers.size >= MEMBERS) return null;
    const node = new AudioWorkletNode(this.context, "speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => this.told(uid, data);
    node.connect(this.context.destination);
    this.speakers.set(uid, node);
    return node;
  }

  told(uid, { level, played }) {
    if (this.closed) return;
    if (level !== undefined) this.onlevel(uid, level);
    else this.onplayed(uid, played);
  }

  clear(uid) {
    this.speakers.get(uid)?.port.postMessage({ clear: true });
  }

  forget(uid) {
    const node = this.speakers.get(uid);
    node?.port.postMessage({ close: true });
    node?.disconnect();
    this.speakers.delete(uid);
  }

  close() {
    this.closed = true;
    this.stopTracks();
    for (const context of this.contexts) if (context.state !== "closed") context.close();
  }

  stopTracks() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }
}
