// A streaming sample rate converter: a windowed sinc, cut into polyphase kernels.
//
// Only the microphone of a browser that insists on its device's rate (Firefox: 44.1 or 48 kHz) comes
// this way. Speech recognition hears aliases as noise, so what lies above the lower of the two Nyquist
// frequencies is filtered out and not just skipped.

const LOBES = 20; // zero crossings of the sinc on each side: delay (0.9 ms at 24 kHz) against steepness
const BETA = 8; // of the Kaiser window: side lobes about 80 dB down
const PASSBAND = 0.9; // of the lower Nyquist frequency; the rest is room for the slope

export class Resampler {
  /** Convert from `from` Hz to `to` Hz, both whole numbers. */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.up = to / divisor;
    this.down = from / divisor;
    const cutoff = Math.min(1, to / from) * PASSBAND; // 1 is the Nyquist frequency of the input
    this.half = Math.ceil(LOBES / cutoff);
    this.kernels = Array.from({ length: this.up }, (_, phase) => kernel(phase / this.up, this.half, cutoff));
    // Each sample is written twice, so that the newest `taps` are always in one piece.
    this.line = new Float32Array(4 * this.half);
    this.at = 0;
    this.phase = 0;
  }

  /** Take samples in and call `emit(sample)` for each that comes out. */
  push(input, emit) {
    const taps = 2 * this.half;
    for (const sample of input) {
      this.line[this.at] = this.line[this.at + taps] = sample;
      this.at = (this.at + 1) % taps;
      for (; this.phase < this.up; this.phase += this.down) emit(this.dot(this.kernels[this.phase]));
      this.phase -= this.up;
    }
  }

  dot(weights) {
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k] * this.line[this.at + k];
    return sum;
  }
}

/** Weights of the newest 2 * `half` samples, oldest first, for a point `fraction` of a sample on. */
function kernel(fraction, half, cutoff) {
  const weights = Float64Array.from({ length: 2 * half }, (_, k) => {
    const x = half - 1 - k + fraction;
    return sinc(cutoff * x) * kaiser(x / half);
  });
  const sum = weights.reduce((a, b) => a + b); // made 1 in every phase: no ripple at the phase rate
  return Float32Array.from(weights, (weight) => weight / sum);
}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

const sinc = (x) => (x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1);

const kaiser = (x) => (x * x < 1 ? bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA) : 0);

/** The modified Bessel function I0, by its series. */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-12; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}
