"use strict";
// Runs a decoder that vaelab/apps/page/steps.py wrote as a list of steps, one code at a time, in typed arrays.

/** The bytes of base64 text. */
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const KINDS = { float32: Float32Array, uint8: Uint8Array };

/** The array of [type, base64 text]. */
const read = ([kind, text]) => new KINDS[kind](bytesOf(text).buffer);

const size = (shape) => shape.reduce((a, b) => a * b, 1);

/** y = W x + b for one vector x. */
function dense(w, b, x, y) {
  const n = x.length;
  for (let r = 0, k = 0; r < y.length; r++) {
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
    for (; i + 3 < n; i += 4, k += 4) {
      s0 += w[k] * x[i]; s1 += w[k + 1] * x[i + 1]; s2 += w[k + 2] * x[i + 2]; s3 += w[k + 3] * x[i + 3];
    }
    for (; i < n; i++, k++) s0 += w[k] * x[i];
    y[r] = s0 + s1 + s2 + s3 + b[r];
  }
}

/** Y = W X: W is (rows, inner), X is (inner, columns). */
function matmul(w, x, y, rows, inner, columns) {
  y.fill(0, 0, rows * columns);
  for (let r = 0; r < rows; r++) {
    const out = r * columns, at = r * inner;
    let k = 0;
    for (; k + 3 < inner; k += 4) {
      const w0 = w[at + k], w1 = w[at + k + 1], w2 = w[at + k + 2], w3 = w[at + k + 3];
      const x0 = k * columns, x1 = x0 + columns, x2 = x1 + columns, x3 = x2 + columns;
      for (let p = 0; p < columns; p++)
        y[out + p] += w0 * x[x0 + p] + w1 * x[x1 + p] + w2 * x[x2 + p] + w3 * x[x3 + p];
    }
    for (; k < inner; k++) {
      const w0 = w[at + k], x0 = k * columns;
      for (let p = 0; p < columns; p++) y[out + p] += w0 * x[x0 + p];
    }
  }
}

/** Calls f(row of columns, pixel of columns, value of image) wherever a kernel's pixel meets the image. */
function meet(step, channels, [height, width], [rows, columns], f) {
  const [kh, kw] = step.kernel, [sy, sx] = step.stride, [py, px] = step.pad;
  for (let c = 0, row = 0; c < channels; c++)
    for (let ky = 0; ky < kh; ky++)
      for (let kx = 0; kx < kw; kx++, row++)
        for (let i = 0; i < rows; i++) {
          const y = i * sy + ky - py;
          if (y < 0 || y >= height) continue;
          const from = (c * height + y) * width;
          for (let j = 0; j < columns; j++) {
            const x = j * sx + kx - px;
            if (x >= 0 && x < width) f(row * rows * columns + i * columns + j, from + x);
          }
        }
}

/** A convolution: the image's patches as columns, then one matrix product. */
function conv(step, w, b) {
  const [c, h, wide] = step.before, [out, rows, columns] = step.shape, pixels = rows * columns;
  const inner = c * size(step.kernel), patches = new Float32Array(inner * pixels);
  const from = new Int32Array(inner * pixels).fill(-1);
  meet(step, c, [h, wide], [rows, columns], (at, image) => { from[at] = image; });
  return (x, y) => {
    for (let i = 0; i < from.length; i++) patches[i] = from[i] < 0 ? 0 : x[from[i]];
    matmul(w, patches, y, out, inner, pixels);
    for (let o = 0, i = 0; o < out; o++) for (let p = 0; p < pixels; p++, i++) y[i] += b[o];
  };
}

/** A transposed convolution: one matrix product, whose columns are added up where they fall in the image. */
function deconv(step, w, b) {
  const [c, rows, columns] = step.before, [out, h, wide] = step.shape, pixels = rows * columns;
  const n = out * size(step.kernel), patches = new Float32Array(n * pixels), turned = new Float32Array(w.length);
  for (let i = 0; i < c; i++) for (let r = 0; r < n; r++) turned[r * c + i] = w[i * n + r];
  const to = new Int32Array(n * pixels).fill(-1);
  meet(step, out, [h, wide], [rows, columns], (at, image) => { to[at] = image; });
  return (x, y) => {
    matmul(turned, x, patches, n, c, pixels);
    for (let o = 0, i = 0; o < out; o++) for (let p = 0; p < h * wide; p++, i++) y[i] = b[o];
    for (let i = 0; i < to.length; i++) if (to[i] >= 0) y[to[i]] += patches[i];
  };
}

/** One number to one number, for every element. */
const ELEMENTWISE = {
  relu: () => (v) => (v > 0 ? v : 0),
  leaky_relu: ({ slope }) => (v) => (v > 0 ? v : slope * v),
  silu: () => (v) => v / (1 + Math.exp(-v)),
  tanh: () => Math.tanh,
  sigmoid: () => (v) => 1 / (1 + Math.exp(-v)),
};

/** A function (inputs, output) for one step. */
function compile(step) {
  const w = step.weight && read(step.weight), b = step.bias && read(step.bias), shape = step.shape;
  if (step.op === "dense") return ([x], y) => dense(w, b, x, y);
  if (step.op === "conv" || step.op === "deconv") {
    const run = (step.op === "conv" ? conv : deconv)(step, w, b);
    return ([x], y) => run(x, y);
  }
  if (step.op in ELEMENTWISE) {
    const f = ELEMENTWISE[step.op](step);
    return ([x], y) => { for (let i = 0; i < y.length; i++) y[i] = f(x[i]); };
  }
  if (step.op === "cat") return (xs, y) => { let at = 0; for (const x of xs) { y.set(x, at); at += x.length; } };
  if (step.op === "add") return ([x0, x1], y) => { for (let i = 0; i < y.length; i++) y[i] = x0[i] + x1[i]; };
  if (step.op === "affine") {
    const each = size(shape) / w.length;
    return ([x], y) => { for (let i = 0; i < y.length; i++) { const c = (i / each) | 0; y[i] = x[i] * w[c] + b[c]; } };
  }
  const [, height, width] = shape, [, h, wide] = step.before, { by, top, left } = step;
  const place = step.op === "upsample"
    ? (i, j) => ((i / by) | 0) * wide + ((j / by) | 0)
    : (i, j) => (i + top < 0 || i + top >= h || j + left < 0 || j + left >= wide ? -1 : (i + top) * wide + j + left);
  return ([x], y) => {
    for (let i = 0, at = 0; at < y.length; i++)
      for (let j = 0; j < width; j++, at++) {
        const c = (i / height) | 0, p = place(i % height, j);
        y[at] = p < 0 ? 0 : x[c * h * wide + p];
      }
  };
}

/** A function from a code to the decoder's output; what it returns is overwritten by its next call. */
function makeDecoder(plan) {
  const values = [null, ...plan.steps.map((step) => new Float32Array(size(step.shape)))];
  const steps = plan.steps.map(compile);
  return (z) => {
    values[0] = z;
    steps.forEach((run, i) => run(plan.steps[i].in.map((n) => values[n]), values[i + 1]));
    return values[plan.out];
  };
}
