// What the pages do beyond links and forms: arrows among pictures and pages, and a count.
"use strict";

/** Arrow keys move among the pictures of a grid, as they lie on the screen. */
function moveInGrid(grid) {
  grid.addEventListener("keydown", (event) => {
    const pictures = [...grid.querySelectorAll("a.picture")];
    const at = pictures.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const top = (n) => pictures[n].getBoundingClientRect().top;
    let wide = pictures.findIndex((_, n) => Math.abs(top(n) - top(0)) > 8);
    if (wide < 0) wide = pictures.length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide };
    let to = at + (steps[event.key] ?? 0);
    if (event.key === "Home") to = 0;
    if (event.key === "End") to = pictures.length - 1;
    if (to === at || to < 0 || to >= pictures.length) return;
    event.preventDefault();
    pictures[to].focus();
  });
}

/** Left and right lead to the page or image before and after. */
function turnPages() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const free = document.activeElement;
    // Fields, tables that scroll and pictures of a grid use these keys themselves.
    if (!rel || free.closest("input, select, textarea, [role=region], [data-grid]")) return;
    const link = document.querySelector(`.pager a[rel=${rel}]`);
    if (link) link.click();
  });
}

/** How many runs are chosen for a comparison, in words beside the button. */
function countChosen(form) {
  const said = form.querySelector("[data-count]");
  const button = form.querySelector(".chosen button");
  const count = () => {
    const n = form.querySelectorAll("input[name=run]:checked").length;
    button.disabled = n < 2;
    said.textContent = n === 0 ? "Choose two or more." : n === 1 ? "1 chosen; choose another." : `${n} chosen.`;
  };
  form.addEventListener("change", count);
  count();
}

/** A picture that cannot be loaded gives way to the reason. */
function explainMissing(image) {
  image.addEventListener("error", async () => {
    const reason = document.createElement("span");
    reason.className = "placeholder";
    reason.textContent = "no photograph";
    image.replaceWith(reason);
    const answer = await fetch(image.src).catch(() => null);
    if (answer && answer.status === 404) reason.textContent = await answer.text();
  });
}

document.querySelectorAll("[data-grid]").forEach(moveInGrid);
document.querySelectorAll("form.compare").forEach(countChosen);
document.querySelectorAll(".case img, .one img").forEach(explainMissing);
turnPages();
