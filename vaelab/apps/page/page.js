// The words of the page, its buttons, and the start of it all.

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
    const run = makeDecoder(d.decoder);
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
