// Thumbnails as a list box: one of them is chosen, arrow keys move through them.

import { make } from "./dom.js";
import { percent } from "./words.js";

export class Grid {
  // on: {choose(item), open(), remove(item)}
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.items = [];
    this.cells = new Map();
    this.chosen = null;
    root.addEventListener("keydown", (event) => this.key(event));
  }

  add(item) {
    const cell = make("div", { class: "cell waiting", role: "option", "aria-selected": "false", tabindex: "-1", id: `photo-${item.id}` });
    cell.addEventListener("click", () => {
      this.choose(item);
      this.on.open();
    });
    this.items.push(item);
    this.cells.set(item, cell);
    this.root.append(cell);
    this.draw(item);
  }

  remove(item) {
    const place = this.items.indexOf(item);
    this.items.splice(place, 1);
    this.cells.get(item).remove();
    this.cells.delete(item);
    const next = this.items[Math.min(place, this.items.length - 1)] ?? null;
    if (item === this.chosen) this.choose(next, true);
  }

  choose(item, focus = false) {
    if (this.chosen !== null) this.mark(this.chosen, false);
    this.chosen = item;
    if (item !== null) {
      this.mark(item, true);
      if (focus) this.cells.get(item).focus();
    }
    this.on.choose(item);
  }

  mark(item, whether) {
    const cell = this.cells.get(item);
    if (cell === undefined) return;
    cell.setAttribute("aria-selected", String(whether));
    cell.tabIndex = whether ? 0 : -1;
  }

  focus() {
    this.cells.get(this.chosen)?.focus();
  }

  draw(item) {
    const cell = this.cells.get(item);
    if (cell === undefined) return;
    const said = item.result?.prediction ?? null;
    const bad = item.trouble ?? item.result?.error?.detail ?? null;
    cell.className = `cell ${bad !== null ? "bad" : said === null ? "waiting" : ""}`;
    const picture = item.visible
      ? make("img", { src: item.url, alt: "", decoding: "async", loading: "lazy" })
      : make("span", { class: "none" }, "no preview");
    if (item.visible) {
      picture.addEventListener("error", () => {
        item.visible = false;
        this.draw(item);
        this.on.unseen(item);
      });
    }
    const content = [picture, make("span", { class: "name" }, item.name)];
    if (bad !== null) content.push(make("span", { class: "what" }, "Not read"), make("span", { class: "why" }, bad));
    else if (said === null) content.push(make("span", { class: "what" }, item.sent ? "Reading …" : "Waiting …"));
    else {
      content.push(make("span", { class: "what" }, said.predicted, make("span", {}, percent(said.confidence))));
      if (said.review) content.push(make("span", { class: "mark" }, "Review"));
    }
    cell.replaceChildren(...content);
    cell.title = item.name;
  }

  columns() {
    const [first] = this.items;
    const top = this.cells.get(first).offsetTop;
    const beyond = this.items.findIndex((item) => this.cells.get(item).offsetTop !== top);
    return beyond < 0 ? this.items.length : beyond;
  }

  key(event) {
    if (this.chosen === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.items.length - 1;
    const place = this.items.indexOf(this.chosen);
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns(), ArrowUp: -this.columns() };
    let wanted = null;
    if (event.key in moves) wanted = place + moves[event.key];
    else if (event.key === "Home") wanted = 0;
    else if (event.key === "End") wanted = last;
    else if (event.key === "Enter" || event.key === " ") this.on.open(true);
    else if (event.key === "Delete") this.on.remove(this.chosen);
    else return;
    event.preventDefault();
    if (wanted !== null && wanted >= 0 && wanted <= last) this.choose(this.items[wanted], true);
  }
}

