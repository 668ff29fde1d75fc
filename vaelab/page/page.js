// The page: everything it shows follows from one code z, which sliders, draws, images and the plane may set.

const data = JSON.parse(document.getElementById("data").textContent);
const read = reader(bytesOf(document.getElementById("weights").textContent.trim()));
const $ = (id) => document.getElementById(id);
const K = data.latent_dim, [CHANNELS, HEIGHT, WIDTH] = data.shape;
const N_TILES = 9, N_DRAWS = 6, N_SLIDERS = matchMedia("(max-width: 1000px)").matches ? 7 : 10;
const decode = makeDecoder(data.decoder, read);

/** A new element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(properties))
    if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const dot = (a, b) => { let s = 0; for (let i = 0; i < K; i++) s += a[i] * b[i]; return s; };
const rows = (array) => Array.from({ length: array.length / K }, (_, i) => array.subarray(i * K, (i + 1) * K));
const signed = (v, digits = 2) => (v < 0 ? "−" : "") + Math.abs(v).toFixed(digits);

// ---- pictures ------------------------------------------------------------------------------------------------------

/** Draw values in [0, 1], (channels, height, width), on a canvas of as many pixels. */
function paint(canvas, x) {
  if (canvas.width !== WIDTH) canvas.width = WIDTH;
  if (canvas.height !== HEIGHT) canvas.height = HEIGHT;
  const context = canvas.getContext("2d", { willReadFrequently: true }), picture = context.createImageData(WIDTH, HEIGHT), n = WIDTH * HEIGHT;
  for (let p = 0; p < n; p++) {
    for (let c = 0; c < 3; c++) picture.data[4 * p + c] = 255 * x[CHANNELS === 3 ? c * n + p : p];
    picture.data[4 * p + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

// What waits to be drawn, by name: a newer wish takes an older one's place, so a drag never leaves a queue behind.
const wishes = new Map();
let waiting = false;

function wish(name, work) {
  wishes.set(name, work);
  if (!waiting) { waiting = true; requestAnimationFrame(frame); }
}

function frame(now) {
  const order = [...wishes.keys()].sort();  // names begin with their rank
  for (const [i, name] of order.entries()) {
    if (i > 0 && name > "3" && performance.now() > now + 14) break;
    const work = wishes.get(name);
    wishes.delete(name);
    work();
  }
  waiting = wishes.size > 0;
  if (waiting) requestAnimationFrame(frame);
}

/** A row of small pictures that are buttons: one stop of the Tab key, arrow keys go on from there. */
function tiles(box, n, label, pick) {
  box.replaceChildren();
  box.setAttribute("role", "group");
  const buttons = Array.from({ length: n }, (_, i) => {
    const canvas = make("canvas", { width: WIDTH, height: HEIGHT });
    const button = make("button", { type: "button", tabIndex: i ? -1 : 0, "aria-label": label(i) }, canvas);
    button.addEventListener("click", () => pick(i));
    button.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: n - 1 }[event.key];
      if (to === undefined || !buttons[to]) return;
      event.preventDefault();
      for (const other of buttons) other.tabIndex = other === buttons[to] ? 0 : -1;
      buttons[to].focus();
    });
    return button;
  });
  box.append(...buttons);
  return buttons;
}

const canvasOf = (button) => button.firstElementChild;

// ---- the code ------------------------------------------------------------------------------------------------------

const code = new Float32Array(K), start = new Float32Array(K);
const directions = rows(read(data.directions.matrix));
const ordered = data.directions.values !== null;
let touched = 0, source = "";

/** Take over a code, and say where it comes from; `original` is the number of a start with pixels. */
function setCode(z, from, original = null) {
  code.set(z);
  start.set(z);
  source = from;
  $("original-box").hidden = original === null || pixels === null;
  if (!$("original-box").hidden) paint($("original"), startPixels(original));
  startButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === original)));
  moved();
  showStrip();
}

function moveAlong(j, to) {
  const by = to - dot(directions[j], code), strip = touched !== j;
  for (let i = 0; i < K; i++) code[i] += by * directions[j][i];
  touched = j;
  moved();
  if (strip) showStrip();
}

/** The code has changed: the picture, the sliders, the plane. */
function moved() {
  wish("0 picture", () => paint($("image"), decode(code)));
  wish("2 plane", drawMap);
  const away = code.some((v, i) => Math.abs(v - start[i]) > 1e-6);
  $("status").textContent = away ? `${source}, moved` : source;
  for (const row of sliders) {
    const t = dot(directions[row.j], code), text = signed(t);
    row.input.value = t;
    row.output.value = text;
    row.input.setAttribute("aria-valuetext", `${data.directions.names[row.j]} ${text}`);
    row.box.classList.toggle("on", row.j === touched);
  }
  markStrip();
}

// ---- sliders, the strip, the chart ---------------------------------------------------------------------------------

const SIGN = { lambda: "λ", sd: "sd", none: "" }[data.directions.kind];
const short = (v) => (v >= 0.001 ? v.toPrecision(2) : v.toExponential(0)).replace("e-", "e−");
let sliders = [];

function showSliders(all) {
  const few = Array.from({ length: Math.min(K, all ? K : N_SLIDERS) }, (_, i) => i);
  const weakest = !all && ordered && K > N_SLIDERS;
  if (weakest) few[few.length - 1] = K - 1;
  sliders = few.map((j, i) => {
    const name = data.directions.names[j], limit = data.directions.ranges[j], id = `slider-${j}`;
    const value = ordered ? ` ${SIGN} = ${short(data.directions.values[j])}` : "";
    const input = make("input", { type: "range", id, min: -limit, max: limit, step: 0.05 });
    const output = make("output", { htmlFor: id });
    const label = make("label", { htmlFor: id }, name, make("span", { textContent: value }));
    const box = make("div", { className: "row" }, label, input, output);
    if (weakest && i === few.length - 1) { box.classList.add("gap"); label.title = "the weakest direction"; }
    input.addEventListener("input", () => moveAlong(j, Number(input.value)));
    input.addEventListener("focus", () => { if (touched !== j) { touched = j; moved(); showStrip(); } });
    return { j, input, output, box };
  });
  $("sliders").replaceChildren(...sliders.map((row) => row.box));
  $("more").textContent = all ? "Show fewer" : `Show all ${K} directions`;
  $("more").setAttribute("aria-expanded", String(all));
  $("more").hidden = K <= N_SLIDERS;
}

const stripAt = (i) => data.directions.ranges[touched] * (2 * i / (N_TILES - 1) - 1);
const stripButtons = tiles($("strip"), N_TILES, (i) => `tile ${i + 1} of ${N_TILES}: move there`,
  (i) => moveAlong(touched, stripAt(i)));

/** The picture all along the direction that was touched last, the others as they are. */
function showStrip() {
  const limit = data.directions.ranges[touched];
  $("strip-title").textContent =
    `${data.directions.names[touched]} from −${limit} to ${limit}, the others as they are`;
  stripButtons.forEach((button, i) => wish(`4 strip ${i}`, () => {
    const direction = directions[touched], z = Float32Array.from(code), by = stripAt(i) - dot(direction, code);
    for (let k = 0; k < K; k++) z[k] += by * direction[k];
    paint(canvasOf(button), decode(z));
  }));
  showChart();
  markStrip();
}

function markStrip() {
  const t = dot(directions[touched], code), step = 2 * data.directions.ranges[touched] / (N_TILES - 1);
  stripButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(Math.abs(stripAt(i) - t) <= step / 2)));
}

/** Bars of λ_j (or standard deviations), in the order of the sliders. */
function showChart() {
  $("chart-box").hidden = !ordered;
  if (!ordered) return;
  const isLambda = SIGN === "λ", values = data.directions.values, top = isLambda ? 1 : Math.max(...values, 1e-9);
  const svg = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const W = 400, H = 96, left = 34, each = (W - left) / K, y = (v) => H - 16 - (H - 22) * Math.min(v / top, 1.04);
  const named = isLambda ? "mean λ of every direction" : "standard deviation of the codes along every direction";
  $("chart-title").textContent = named[0].toUpperCase() + named.slice(1);
  const active = values.filter((v) => v < 0.5).length;
  const told = isLambda ? `${active} of ${K} lie below one half` : `from ${short(values[0])} to ${short(values[K - 1])}`;
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `Bar chart, ${named}: ${told}.` });
  values.forEach((v, j) => picture.append(svg("rect", {
    class: j === touched ? "bar on" : "bar", x: left + j * each + each * 0.1, width: each * 0.8, y: Math.min(y(v), H - 17),
    height: Math.max(H - 16 - y(v), 1),
  })));
  for (const v of isLambda ? [0, 0.5, 1] : [0, top]) {
    picture.append(svg("text", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, v === 0 ? "0" : short(v)));
    if (v === 0.5) picture.append(svg("line", { x1: left, x2: W, y1: y(v), y2: y(v) }));
  }
  picture.append(svg("text", { x: left, y: H - 3 }, "moves the picture most"));
  picture.append(svg("text", { x: W, y: H - 3, "text-anchor": "end" }, "least"));
  $("chart").replaceChildren(picture);
}

// ---- images to start from, draws -----------------------------------------------------------------------------------

const points = { means: rows(read(data.codes.means)), draws: rows(read(data.codes.draws)) };
const pixels = data.starts.pixels === null ? null : read(data.starts.pixels);
const pixelsEach = size(data.shape);
const startPixels = (i) => Float32Array.from(pixels.subarray(i * pixelsEach, (i + 1) * pixelsEach), (v) => v / 255);
const classOf = (i) => (data.labels ? data.labels.classes[data.labels.of[i]] : null);
const named = (i) => (data.has_images ? `test image ${i}` : `stored draw ${i}`) + (classOf(i) ? `, class ${classOf(i)}` : "");

const startButtons = tiles($("starts"), data.starts.codes.length, (i) => `start from ${named(data.starts.codes[i])}`,
  (i) => setCode(points.means[data.starts.codes[i]], `Code μ of ${named(data.starts.codes[i])}`, i));

function showStarts() {
  $("begin-title").textContent = data.has_images ? "Start from a test image" : "Start from a stored draw";
  startButtons.forEach((button, i) => {
    if (pixels) paint(canvasOf(button), startPixels(i));
    else wish(`5 start ${i}`, () => paint(canvasOf(button), decode(points.means[data.starts.codes[i]])));
  });
}

/** Uniform numbers in (0, 1) that follow from a seed (mulberry32), so that a class sees the same draws. */
function uniform(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

/** A function that draws codes from a density. */
function sampler(density, number) {
  const random = uniform(1000 * data.seed + number);
  const normal = () => Float32Array.from({ length: K },
    () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()));
  if (density.kind === "normal") return normal;
  if (density.kind === "second") {
    const second = makeDecoder(density.decoder, read), scale = Math.sqrt(density.gamma);
    return () => { const z = second(normal()), noise = normal(); return z.map((v, i) => v + scale * noise[i]); };
  }
  const means = rows(read(density.means)), factors = rows(read(density.factors));
  return () => {
    let left = random(), k = 0;
    while (k < means.length - 1 && (left -= density.weights[k]) > 0) k++;
    const e = normal();
    return means[k].map((v, i) => { for (let j = 0; j <= i; j++) v += factors[k * K + i][j] * e[j]; return v; });
  };
}

function showDraws() {
  data.densities.forEach((density, number) => {
    const draw = sampler(density, number), box = make("div", { className: "tiles" });
    let codes = [];
    const buttons = tiles(box, N_DRAWS, (i) => `draw ${i + 1} from ${density.name}: take this code`,
      (i) => setCode(codes[i], `Draw from ${density.name}`));
    const again = (take) => {
      codes = buttons.map(() => Float32Array.from(draw()));
      buttons.forEach((button, i) => wish(`6 draw ${number} ${i}`, () => paint(canvasOf(button), decode(codes[i]))));
      if (take) setCode(codes[0], `Draw from ${density.name}`);
    };
    const button = make("button", { type: "button", textContent: density.name,
      "aria-label": `draw from ${density.name}` });
    button.addEventListener("click", () => again(true));
    $("draws").append(make("div", { className: "draw" }, button, box));
    again(false);
  });
}

// ---- the plane -----------------------------------------------------------------------------------------------------

const COLORS = ["#0072B2", "#D55E00", "#009E73", "#C2588F", "#C98A00", "#3A9BD9", "#A0476B", "#8A8A1F", "#1FA39A",
  "#7A7A7A"];
const GLYPHS = ["●", "■", "▲", "◆", "✚", "★", "▼", "✖", "○", "□", "△"];
const color = (c) => COLORS[c % COLORS.length];
const glyph = (c) => ([...data.labels.classes[c]].length === 1 ? data.labels.classes[c] : GLYPHS[c % GLYPHS.length]);
const mean = read(data.plane.mean), principal = rows(read(data.plane.vectors)), ZERO = new Float32Array(K);
const axes = [
  ...(data.directions.kind === "sd" ? [] : principal).map((v, i) => ({ name: `component ${i + 1}`, v, from: mean })),
  ...directions.map((v, j) => ({
    name: data.directions.names[j] + (ordered ? ` (${SIGN} ${short(data.directions.values[j])})` : ""), v, from: ZERO })),
];
let shown = points.means, alone = null, cursor = null, view = null;
const along = (axis, z) => dot(axis.v, z) - dot(axis.v, axis.from);
const chosen = () => [axes[$("plane-x").value], axes[$("plane-y").value]];

/** The picture's code, moved to a place of the plane. */
function codeAt(a, b) {
  const [x, y] = chosen(), g = dot(x.v, y.v), da = a - along(x, code), db = b - along(y, code);
  const one = Math.abs(g) > 0.999, d = 1 - g * g;
  const s = one ? da : (da - g * db) / d, t = one ? 0 : (db - g * da) / d;
  return code.map((v, i) => v + s * x.v[i] + t * y.v[i]);
}

function fitMap() {
  const [x, y] = chosen(), map = $("map"), w = map.clientWidth, h = map.clientHeight;
  const at = shown.map((z) => [along(x, z), along(y, z)]);
  const bounds = [0, 1].map((i) => [Math.min(...at.map((p) => p[i])), Math.max(...at.map((p) => p[i]))]);
  const [mx, my] = bounds.map(([lo, hi]) => (lo + hi) / 2), [rx, ry] = bounds.map(([lo, hi]) => (hi - lo || 1) * 1.1);
  const scale = Math.min(w / rx, h / ry);
  view = { at, w, h, scale, px: (a) => w / 2 + (a - mx) * scale, py: (b) => h / 2 - (b - my) * scale,
    a: (px) => (px - w / 2) / scale + mx, b: (py) => (h / 2 - py) / scale + my };
  cursor = null;
  const density = window.devicePixelRatio || 1;
  map.width = Math.round(w * density);
  map.height = Math.round(h * density);
  wish("2 plane", drawMap);
}

function drawMap() {
  const map = $("map"), c = map.getContext("2d"), style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink"), line = style.getPropertyValue("--line");
  const soft = style.getPropertyValue("--soft"), mark = style.getPropertyValue("--mark");
  const { w, h, px, py, a, b, at } = view, [x, y] = chosen();
  c.setTransform(map.width / w, 0, 0, map.height / h, 0, 0);
  c.clearRect(0, 0, w, h);
  c.lineWidth = 1;
  c.font = "11px system-ui, sans-serif";
  const tenth = (a(w) - a(0)) / 9, power = Math.floor(Math.log10(tenth));
  const step = [1, 2, 5, 10].map((m) => m * 10 ** power).find((s) => s >= tenth), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  c.strokeStyle = line;
  c.fillStyle = soft;
  for (let i = Math.ceil(a(0) / step); i * step < a(w); i++) {
    stroke(c, px(i * step), 0, px(i * step), h);
    c.fillText(signed(i * step, digits), px(i * step) + 3, h - 4);
  }
  for (let i = Math.ceil(b(h) / step); i * step < b(0); i++) {
    stroke(c, 0, py(i * step), w, py(i * step));
    if (py(i * step) < h - 18) c.fillText(signed(i * step, digits), 3, py(i * step) - 3);
  }
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.font = "bold 12px system-ui, sans-serif";
  at.forEach(([p, q], i) => {
    const label = data.labels ? data.labels.of[i] : null;
    c.globalAlpha = alone === null || alone === label ? 0.9 : 0.12;
    c.fillStyle = label === null ? COLORS[0] : color(label);
    c.fillText(label === null ? GLYPHS[0] : glyph(label), px(p), py(q));
  });
  c.globalAlpha = 1;
  c.textAlign = "start";
  c.textBaseline = "alphabetic";
  c.lineWidth = 2.5;
  c.strokeStyle = mark;
  const [u, v] = [px(along(x, code)), py(along(y, code))];
  stroke(c, u - 9, v, u + 9, v);
  stroke(c, u, v - 9, u, v + 9);
  if (cursor) {
    c.strokeStyle = ink;
    c.lineWidth = 1.5;
    c.beginPath();
    c.arc(cursor.x, cursor.y, 8, 0, 2 * Math.PI);
    c.stroke();
  }
}

function stroke(c, x0, y0, x1, y1) {
  c.beginPath();
  c.moveTo(x0, y0);
  c.lineTo(x1, y1);
  c.stroke();
}

/** Put the cursor on a pixel of the plane, or on the point that lies within `reach` of it. */
function point(x, y, reach = 9) {
  let best = null, distance = reach;
  view.at.forEach(([p, q], i) => {
    const d = Math.hypot(view.px(p) - x, view.py(q) - y);
    if (d < distance && (alone === null || data.labels.of[i] === alone)) { best = i; distance = d; }
  });
  const [a, b] = [view.a(x), view.b(y)];
  if (best === null) cursor = { x, y, z: codeAt(a, b), said: `the plane at (${signed(a)}, ${signed(b)})` };
  else {
    const [p, q] = view.at[best], what = shown === points.draws && data.has_images ? "draw for " : "";
    cursor = { x: view.px(p), y: view.py(q), z: shown[best], said: what + named(best), point: best };
  }
  $("here").textContent = cursor.said[0].toUpperCase() + cursor.said.slice(1);
  $("preview").hidden = false;
  const { z } = cursor;
  wish("1 preview", () => paint($("preview"), decode(z)));
  wish("2 plane", drawMap);
}

function takeCursor() {
  if (!cursor) return;
  const i = cursor.point, original = shown === points.means && i !== undefined ? data.starts.codes.indexOf(i) : -1;
  setCode(cursor.z, i === undefined ? `Taken from ${cursor.said}` : `Code of ${cursor.said}`, original < 0 ? null : original);
}

function showPlane() {
  for (const [id, value] of [["plane-x", 0], ["plane-y", Math.min(1, axes.length - 1)]]) {
    $(id).append(...axes.map((axis, i) => make("option", { value: i, textContent: axis.name })));
    $(id).value = K > 1 ? value : 0;
    $(id).addEventListener("change", fitMap);
  }
  $("points").hidden = data.codes.same;
  for (const input of $("points").querySelectorAll("input"))
    input.addEventListener("change", () => { shown = points[input.value]; fitMap(); });
  const map = $("map"), place = (event) => {
    const box = map.getBoundingClientRect(), edge = map.clientLeft;
    point(event.clientX - box.left - edge, event.clientY - box.top - edge, event.pointerType === "touch" ? 16 : 9);
  };
  map.addEventListener("pointermove", place);
  map.addEventListener("pointerdown", place);
  map.addEventListener("click", (event) => { place(event); takeCursor(); });
  map.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter") takeCursor();
    if (!by) return;
    event.preventDefault();
    const from = cursor ?? { x: view.px(along(chosen()[0], code)), y: view.py(along(chosen()[1], code)) }, step = 12;
    const inside = (v, high) => Math.min(Math.max(v, 0), high);
    point(inside(from.x + step * by[0], view.w), inside(from.y + step * by[1], view.h), 6);
  });
  new ResizeObserver(fitMap).observe(map);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => wish("2 plane", drawMap));
  showLegend();
  fitMap();
}

function showLegend() {
  $("legend").hidden = !data.labels;
  if (!data.labels) return;
  const buttons = data.labels.classes.map((name, c) => {
    const sign = make("span", { textContent: glyph(c) });
    sign.style.color = color(c);
    const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `class ${name}` }, sign,
      glyph(c) === name ? "" : ` ${name}`);
    button.addEventListener("click", () => {
      alone = alone === c ? null : c;
      buttons.forEach((other, i) => other.setAttribute("aria-pressed", String(i === alone)));
      wish("2 plane", drawMap);
    });
    return button;
  });
  $("legend").append(...buttons);
}

// ---- words ---------------------------------------------------------------------------------------------------------

const WORDS = {
  lambda: "λ says how much the encoder leaves open along a direction: near 0, the direction carries the image and moves "
    + "the picture; near 1, it carries noise and moves nothing. ",
  sd: "This model's codes have no λ that tells directions apart: they are points, or all of one variance. The sliders "
    + "follow the principal directions of the codes; sd is how far the codes spread along each.",
  none: "The page was made without images, so it does not know which directions carry them: the sliders stand in the "
    + "model's own order.",
};
const active = SIGN === "λ" ? data.directions.values.filter((v) => v < 0.5).length : null;
const counted = active === null ? "" : `Here ${active} of ${K} directions have a mean λ below one half. `
  + (0 < active && active < K ? "Try the first slider, then the last." : active ? "Try the sliders." : "It has collapsed.");
$("intro").textContent = "A decoder turns a code z into a picture, here in your browser. "
  + WORDS[data.directions.kind] + counted;
$("facts").querySelector("dl").append(...data.facts.map(([name, value]) =>
  make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));

$("reset").addEventListener("click", () => { code.set(start); moved(); showStrip(); });
$("origin").addEventListener("click", () => setCode(ZERO, "The origin, z = 0"));
$("more").addEventListener("click", () => { showSliders($("more").getAttribute("aria-expanded") !== "true"); moved(); });

showSliders(false);
showPlane();
showStarts();
startButtons[0].click();
showDraws();

// For tests, and for whoever opens the console.
window.vaelab = {
  decode: (z) => Array.from(decode(Float32Array.from(z))),
  densities: Object.fromEntries(data.densities.map((d, i) => [d.name, sampler(d, i + 100)])),
  seconds: Object.fromEntries(data.densities.filter((d) => d.kind === "second").map((d) => {
    const run = makeDecoder(d.decoder, read);
    return [d.name, (u) => Array.from(run(Float32Array.from(u)))];
  })),
  code: () => Array.from(code),
  cursor: () => (cursor === null ? null : { ...cursor, z: Array.from(cursor.z) }),
  point: (i) => { const [p, q] = view.at[i]; return { x: view.px(p), y: view.py(q), z: Array.from(shown[i]) }; },
  waiting: () => wishes.size,
  idle: () => new Promise((resolve) => {
    const look = () => (wishes.size ? requestAnimationFrame(look) : resolve(true));
    look();
  }),
};
