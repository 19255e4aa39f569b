// AudioWorklet: the microphone's samples as 20 ms messages of 24 kHz mono pcm16, and their level.

import { Resampler } from "./resampler.js";

const RATE = 24000;
const MESSAGE = RATE / 50; // 20 ms: half the wake-ups of 10 ms for a delay that nobody notices
const LEVEL = RATE / 20;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === RATE ? null : new Resampler(Math.round(sampleRate), RATE);
    this.pcm = new Int16Array(MESSAGE);
    this.filled = 0;
    this.power = 0;
    this.counted = 0;
    this.take = this.take.bind(this);
  }

  process([[input]]) {
    // No channel at all: the microphone has stopped or is not connected yet.
    if (!input) return true;
    if (this.resampler) this.resampler.push(input, this.take);
    else input.forEach(this.take);
    return true;
  }

  take(sample) {
    this.pcm[this.filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
    if (this.filled === MESSAGE) this.send();
    this.power += sample * sample;
    if (++this.counted === LEVEL) this.measure();
  }

  send() {
    this.port.postMessage({ pcm: this.pcm }, [this.pcm.buffer]);
    this.pcm = new Int16Array(MESSAGE);
    this.filled = 0;
  }

  measure() {
    this.port.postMessage({ level: Math.sqrt(this.power / LEVEL) });
    this.power = this.counted = 0;
  }
}

registerProcessor("microphone", Microphone);
