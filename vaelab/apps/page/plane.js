// The plane of codes: points that show their images, and a cursor that decodes where there are none.

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
