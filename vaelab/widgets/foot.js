// What stands at a view's foot: its last error. It also says to a screen reader what ipywidgets
// keeps to itself: what a picture shows, whose handle and whose number it is, which button is down,
// and new words.

function tell(view, pictures) {
  view.querySelectorAll(".widget-image").forEach((image, i) => { image.alt = pictures[i]; });
  for (const label of view.querySelectorAll(".widget-inline-hbox > .widget-label")) {
    const name = label.textContent, control = label.parentElement;
    const handles = control.querySelectorAll(".noUi-handle");
    const ends = handles.length > 1 ? [`${name}, from`, `${name}, to`] : [name];
    handles.forEach((handle, i) => { handle.ariaLabel = ends[i]; });
    for (const number of control.querySelectorAll(".widget-readout")) {
      number.role = "textbox";
      number.ariaLabel = `${name}, number`;
    }
    for (const group of control.querySelectorAll(".widget-toggle-buttons > div")) {
      group.role = "group";
      group.ariaLabel = name;
    }
  }
  for (const button of view.querySelectorAll(".widget-toggle-button")) {
    button.ariaPressed = button.classList.contains("mod-active");
  }
  for (const words of view.querySelectorAll(".vaelab-words")) words.ariaLive = "polite";
}

function render({ model, el }) {
  let view = null;
  const show = () => { el.textContent = model.get("error"); };
  const watcher = new MutationObserver(() => tell(view, model.get("pictures")));
  const placed = new ResizeObserver(() => {  // It is called once the foot stands in its view.
    view = el.closest(".vaelab-view");
    if (!view) return;
    tell(view, model.get("pictures"));
    const all = { childList: true, characterData: true, subtree: true };
    watcher.observe(view, { ...all, attributeFilter: ["class"] });
  });
  el.classList.add("vaelab-foot");
  el.role = "alert";
  placed.observe(el);
  model.on("change:error", show);
  show();
  return () => {
    placed.disconnect();
    watcher.disconnect();
    model.off("change:error", show);
  };
}

export default { render };
