"use strict";
// Set every formula that Sphinx has marked.
addEventListener("DOMContentLoaded", () => {
  const delimiters = [
    { left: "\\(", right: "\\)", display: false },
    { left: "\\[", right: "\\]", display: true },
  ];
  for (const formula of document.querySelectorAll(".math")) {
    renderMathInElement(formula, { delimiters, throwOnError: false });
  }
});
