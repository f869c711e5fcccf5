// One photograph: class, bars, set, flag, overlay, nearest training images.

import * as api from "./api.js";
import { make, show } from "./dom.js";
import { REASONS, percent } from "./words.js";

const at = (id) => document.getElementById(id);

export class Detail {
  // classes: code -> {name, malignancy}
  constructor(model, onPatient) {
    this.model = model;
    this.classes = new Map(model.classes.map((c) => [c.code, c]));
    this.item = null;
    for (const c of model.classes) at("target").append(make("option", { value: c.code }, this.named(c.code)));
    at("target").addEventListener("change", () => this.explain());
    at("opacity").addEventListener("input", () => this.fade());
    at("patient").addEventListener("input", () => onPatient(this.item, at("patient").value.trim()));
    this.fade();
  }

  named(code) {
    const name = this.classes.get(code)?.name ?? code;
    return name === code ? code : `${name} (${code})`;
  }

  plain(code) {
    const name = this.classes.get(code)?.name ?? code;
    return name[0].toUpperCase() + name.slice(1);
  }

  show(item) {
    const other = item !== this.item;
    this.item = item;
    show(at("detail"), item !== null);
    if (item === null) return;
    at("detail-title").textContent = item.name;
    at("photo").src = item.url;
    at("photo").alt = `Photograph ${item.name}`;
    show(at("photo"), item.visible);
    if (other) at("patient").value = item.patient;
    at("outcome").replaceChildren(...this.outcome(item));
    at("figures").replaceChildren(...this.figures(item));
    const said = item.result?.prediction ?? null;
    at("picture-note").textContent = this.note(item, said);
    const able = said !== null && this.model.explain.available;
    show(at("relevance"), able);
    if (!able) {
      show(at("overlay"), false);
      show(at("nearest"), false);
    } else if (other || !item.explained.size) {
      at("target").value = item.target ?? said.predicted;
      this.explain();
    }
  }

  note(item, said) {
    if (!item.visible) return "This browser cannot show files of this kind; it was sent all the same.";
    if (said === null) return "";
    const size = `${said.width} × ${said.height} pixels`;
    const { available, reason } = this.model.explain;
    return available || !reason ? size : `${size}. No overlay and no nearest training images: ${reason}.`;
  }

  outcome(item) {
    const told = item.result;
    if (told === null) return [make("p", { class: "class" }, item.trouble ? "Not answered" : "Waiting …"),
      ...(item.trouble ? [make("p", { class: "trouble" }, item.trouble)] : [])];
    if (told.error !== null) {
      return [make("p", { class: "class" }, "No prediction"),
        make("div", { class: "flag bad" }, make("strong", {}, "This file could not be read"), make("p", {}, told.error.detail))];
    }
    const said = told.prediction;
    const malignancy = this.classes.get(said.predicted)?.malignancy;
    const kind = malignancy && malignancy !== said.predicted ? `${malignancy}, ` : "";
    const title = make("p", { class: "class" }, `${this.plain(said.predicted)} `,
      make("small", {}, `${kind}probability ${percent(said.confidence)}`));
    if (!said.review) return [title, this.calm()];
    const reasons = said.reasons.map((r) => make("li", {}, REASONS[r] ?? r));
    return [title, make("div", { class: "flag" }, make("strong", {}, "Please review"), make("ul", {}, ...reasons))];
  }

  // What is said where nothing calls for a review: no comfort from a model that promises nothing.
  calm() {
    const nothing = "Nothing in this photograph itself calls for a review, but ";
    if (this.model.calibrated && !this.model.certifiable) {
      return make("p", { class: "quiet" }, `${nothing}too few patients were seen to say how far this model can be relied on.`);
    }
    if (this.model.vacuous) return make("p", { class: "quiet" }, `${nothing}this model errs too often to be relied on.`);
    return make("p", { class: "fine" }, "No reason for review.");
  }

  figures(item) {
    const said = item.result?.prediction ?? null;
    if (said === null) return [];
    return [make("h3", {}, this.model.calibrated ? "Calibrated probabilities" : "Probabilities, not calibrated"), this.bars(said),
      ...this.set(said), make("h3", {}, "Beside the training images"), this.facts(said)];
  }

  bars(said) {
    const list = make("ul", { class: "bars" });
    const sorted = Object.entries(said.probabilities).sort((a, b) => b[1] - a[1]);
    for (const [code, share] of sorted) {
      const inside = said.set === null || said.set.includes(code) ? "in" : "";
      const fill = make("i", {});
      fill.style.width = `${100 * share}%`;
      list.append(make("li", { class: `${inside} ${code === said.predicted ? "top" : ""}` },
        make("span", {}, this.named(code)), make("span", { class: "share" }, percent(share)),
        make("span", { class: "track", "aria-hidden": "true" }, fill)));
    }
    return list;
  }

  set(said) {
    if (said.set === null) return [];
    const level = `${Math.round(100 * this.model.level)}%`;
    const title = make("h3", {}, `Conformal set at ${level}`);
    if (!this.model.certifiable) {
      return [title, make("p", { class: "quiet" }, `Too few patients to promise ${level}: every class stays possible.`)];
    }
    if (this.model.vacuous) {
      return [title, make("p", { class: "quiet" }, `This model errs too often to promise ${level} with less than every class: the set says nothing.`)];
    }
    const words = said.set.length ? `Holds the true class in ${level} of cases like those it was fitted on.` :
      "Empty: no class is as likely as in the cases it was fitted on.";
    return [title, make("ul", { class: "set" }, ...said.set.map((c) => make("li", {}, this.named(c)))), make("p", { class: "quiet" }, words)];
  }

  facts(said) {
    const list = make("dl", {});
    const add = (name, value) => list.append(make("dt", {}, name), make("dd", {}, value));
    const far = said.distance > this.model.far ? "far" : "not far";
    add("Distance", said.distance === null ? "not known: none were kept" : `${said.distance.toFixed(2)}, ${far} (far beyond ${this.model.far})`);
    add("Contrast", said.contrast.toFixed(1));
    add("Sharpness", said.sharpness.toFixed(3));
    return list;
  }

  fade() {
    const value = at("opacity").value;
    at("overlay").style.opacity = value / 100;
    at("opacity-value").textContent = `${value}%`;
    at("opacity").setAttribute("aria-valuetext", `${value} percent`);
  }

  async explain() {
    const { item } = this;
    const target = at("target").value;
    item.target = target;
    const note = at("relevance-note");
    const words = `for ${this.named(target)}`;
    if (!item.explained.has(target)) {
      note.textContent = `Computing ${words} …`;
      show(at("overlay"), false);
      if (!item.explained.size) show(at("nearest"), false);
      item.explained.set(target, api.explain(item, target));
    }
    let told;
    try {
      told = await item.explained.get(target);
    } catch (error) {
      item.explained.delete(target);
      if (item === this.item) note.textContent = error.message;
      return;
    }
    if (item !== this.item || target !== at("target").value) return;
    at("overlay").src = `data:image/png;base64,${told.relevance}`;
    at("overlay").alt = `Relevance ${words}`;
    show(at("overlay"), item.visible);
    const names = { gradcam: "Grad-CAM", attention: "attention", occlusion: "occlusion" };
    note.textContent = `Yellow: most relevant ${words}, within this photograph, by ${names[told.method] ?? told.method}.`;
    this.neighbours(told.nearest);
  }

  neighbours(nearest) {
    show(at("nearest"), nearest.length > 0);
    at("neighbours").replaceChildren(...nearest.map((n) => {
      const words = make("div", {}, make("b", {}, this.plain(n.label)), make("span", {}, n.slide_id === null ? n.image_id : `Slide ${n.slide_id}`),
        ...[n.magnification && `${n.magnification}×`, n.distance !== null && `distance ${n.distance.toFixed(2)}`]
          .filter(Boolean).map((line) => make("span", {}, line)));
      const picture = n.thumbnail === null ? [] : [make("img", { src: `data:image/png;base64,${n.thumbnail}`, alt: "" })];
      return make("li", { title: n.image_id }, ...picture, words);
    }));
  }
}
