// A PNG from the kernel with a pointer on it: what is under the mouse, and a rectangle dragged with it, go back.
// Arrow keys move the pointer (with shift ten times as far). Positions are in the picture's own pixels.

const BACKGROUND = 17;  // of a dark page

function isDark() { return document.body.dataset.jpThemeLight === "false"; }

// Light and dark the other way round in what is grey: the axes. Points keep their colours.
function turned(bitmap) {
  const sheet = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = sheet.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, sheet.width, sheet.height), bytes = pixels.data;
  for (let i = 0; i < bytes.length; i += 4) {
    if (bytes[i] !== bytes[i + 1] || bytes[i] !== bytes[i + 2]) continue;
    bytes.fill(BACKGROUND + (255 - bytes[i]) * (1 - BACKGROUND / 255), i, i + 3);
  }
  context.putImageData(pixels, 0, 0);
  return sheet;
}

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  let bitmap = null, newest = 0, start = null, box = null;
  canvas.tabIndex = 0;
  canvas.className = "vaelab-pointer";
  canvas.setAttribute("role", "application");

  function label() { canvas.setAttribute("aria-label", model.get("description")); }

  async function load() {
    const mine = ++newest;
    const data = model.get("value");
    if (!data || !data.byteLength) return;
    const made = await createImageBitmap(new Blob([data], { type: "image/png" }));
    if (mine !== newest) return;  // a newer picture has come meanwhile
    bitmap = isDark() ? turned(made) : made;
    if (canvas.width !== made.width || canvas.height !== made.height) {
      canvas.width = made.width;
      canvas.height = made.height;
    }
    paint();
  }

  function paint() {
    if (!bitmap) return;
    context.drawImage(bitmap, 0, 0);
    context.strokeStyle = isDark() ? "#ffffff" : "#000000";
    context.lineWidth = 1.5;
    for (const [x, y] of model.get("marks")) {
      context.beginPath();
      context.moveTo(x - 9, y); context.lineTo(x + 9, y);
      context.moveTo(x, y - 9); context.lineTo(x, y + 9);
      context.stroke();
    }
    if (box) {
      context.setLineDash([4, 3]);
      context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
      context.setLineDash([]);
    }
  }

  function place(event) {
    const frame = canvas.getBoundingClientRect();
    return [
      (event.clientX - frame.left) * canvas.width / frame.width,
      (event.clientY - frame.top) * canvas.height / frame.height,
    ];
  }

  function send(name, value) { model.set(name, value); model.save_changes(); }

  canvas.addEventListener("pointerdown", event => {
    start = place(event);
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", event => {
    const now = place(event);
    if (!start) return send("pointer", now);
    box = [...start, ...now];
    paint();
  });
  canvas.addEventListener("pointerup", event => {
    const now = place(event), begun = start;
    start = box = null;
    paint();
    if (!begun) return;
    const far = Math.abs(now[0] - begun[0]) > 4 && Math.abs(now[1] - begun[1]) > 4;
    if (!far) model.set("pointer", now);  // a finger's touch, which has not hovered
    send("box", far ? [...begun, ...now] : []);  // a click clears the rectangle
  });
  canvas.addEventListener("pointercancel", () => { start = box = null; paint(); });
  canvas.addEventListener("keydown", event => {
    const step = event.shiftKey ? 20 : 2;
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (event.key === "Escape") return send("box", []);
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();  // the notebook would move to another cell
    const at = model.get("pointer").length ? model.get("pointer") : [canvas.width / 8, canvas.height / 2];
    send("pointer", [at[0] + way[0], at[1] + way[1]]);
  });

  const themes = new MutationObserver(load);
  themes.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  label();
  model.on("change:value", load);
  model.on("change:marks", paint);
  model.on("change:description", label);
  el.appendChild(canvas);
  load();
  return () => {
    newest++;
    themes.disconnect();
    model.off("change:value", load);
    model.off("change:marks", paint);
    model.off("change:description", label);
  };
}

export default { render };
