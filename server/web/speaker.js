// AudioWorklet: plays what one member of the channel says, out of a ring buffer, and posts its level and
// how much was played.
//
// Runs in a context of 24 kHz, so that a sample of the channel is a sample of the context. Each member
// has a processor of its own: clearing one never touches another, and the browser does the mixing.

const CAPACITY = 30 * sampleRate; // a bound and no aim: the agent paces what it sends
// Wait for 60 ms before playing. Messages come every 40 ms or so: this is one message in hand, plus
// half of one for the jitter of network and event loops. More would delay every answer.
const START = Math.round(0.06 * sampleRate);
const LEVEL = sampleRate / 20;
const RISE = 1 / (0.002 * sampleRate); // per sample: 2 ms from silence to full
const FALL = 0.9; // per sample: below a hundredth in 2 ms

class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Int16Array(CAPACITY);
    this.open = true;
    this.last = 0; // the sample last put out: where sound stops, it fades from here and does not click
    this.power = 0;
    this.counted = 0;
    this.played = 0; // samples put out and not told of yet
    this.clear();
    this.port.onmessage = ({ data }) => {
      if (data.pcm) this.add(data.pcm);
      else if (data.clear) this.clearAndTell();
      else if (data.close) this.open = false;
    };
  }

  /** Forget all that is not played yet and begin anew. */
  clear() {
    this.read = 0;
    this.count = 0;
    this.rebuffer();
  }

  /** Tells even that nothing was added: it is the last figure of what was cleared. */
  clearAndTell() {
    this.clear();
    this.tell();
  }

  rebuffer() {
    this.playing = false;
    this.waited = 0;
    this.gain = 0;
  }

  add(pcm) {
    for (const sample of pcm) {
      this.ring[(this.read + this.count) % CAPACITY] = sample;
      if (this.count < CAPACITY) this.count++;
      else this.read = (this.read + 1) % CAPACITY; // full: that was the oldest
    }
  }

  process(_, [[output]]) {
    this.startWhenReady(output.length);
    for (let i = 0; i < output.length; i++) {
      output[i] = this.last = this.playing && this.count ? this.next() : this.fade();
      this.power += this.last * this.last;
    }
    if (this.playing && !this.count) this.runEmpty();
    this.counted += output.length;
    if (this.counted >= LEVEL) this.measure();
    return this.open;
  }

  runEmpty() {
    this.rebuffer();
    this.tell(); // it may be the last for long
  }

  startWhenReady(elapsed) {
    if (this.playing || !this.count) return;
    // What is shorter than the start-up buffer has nothing to wait for: time starts it as well.
    this.waited += elapsed;
    this.playing = this.count >= START || this.waited >= START;
  }

  next() {
    const sample = this.ring[this.read] / 32768;
    this.read = (this.read + 1) % CAPACITY;
    this.count--;
    this.played++;
    this.gain = Math.min(1, this.gain + RISE);
    return sample * this.gain;
  }

  fade() {
    return Math.abs(this.last) > 1e-5 ? this.last * FALL : 0;
  }

  measure() {
    this.port.postMessage({ level: Math.sqrt(this.power / this.counted) });
    this.power = this.counted = 0;
    if (this.played) this.tell();
  }

  // The device's latency is not taken off: what it was given is heard, if a little later, and nothing
  // takes it back.
  tell() {
    this.port.postMessage({ played: this.played });
    this.played = 0;
  }
}

registerProcessor("speaker", Speaker);
