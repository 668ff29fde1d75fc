"use strict";
// Show the claims of one paper, of one verdict, or both.
addEventListener("DOMContentLoaded", () => {
  const rows = [...document.querySelectorAll(".claims tbody tr")];
  const paper = document.getElementById("paper");
  const verdict = document.getElementById("verdict");
  const shown = document.getElementById("shown");
  if (!paper) return;
  const draw = () => {
    let count = 0;
    for (const row of rows) {
      const fits = (!paper.value || row.dataset.paper === paper.value)
        && (!verdict.value || row.dataset.verdict === verdict.value);
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${rows.length} claims`;
  };
  paper.addEventListener("change", draw);
  verdict.addEventListener("change", draw);
  draw();
});
