// What the page reads, and how it draws: canvases of as many pixels as the image has, rows of small pictures.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const K = data.latent_dim, [CHANNELS, HEIGHT, WIDTH] = data.shape;
const N_TILES = 9, N_DRAWS = 6, N_SLIDERS = matchMedia("(max-width: 1000px)").matches ? 7 : 10;
const decode = makeDecoder(data.decoder);

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
