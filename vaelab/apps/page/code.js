// The code z, from which everything on the page follows, and what sets it: sliders, images to start from, draws.

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
    const second = makeDecoder(density.decoder), scale = Math.sqrt(density.gamma);
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
