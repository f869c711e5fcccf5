// The page: photographs come in, are sent a few at a time, and their answers are shown.

import * as api from "./api.js";
import { Detail } from "./detail.js";
import { make, show } from "./dom.js";
import { Grid } from "./grid.js";
import { csv, patientOf, percent, plural, size } from "./words.js";

const at = (id) => document.getElementById(id);
// Photographs of one request, and requests at once.
const TOGETHER = 8;
const AT_ONCE = 2;

let model = null;
let detail = null;
let ids = 0;
let sending = 0;
let asked = 0;

const grid = new Grid(at("grid"), {
  choose: (item) => detail?.show(item),
  open: (byKey = false) => {
    const narrow = matchMedia("(max-width: 48rem)").matches;
    if (byKey || narrow) at("detail-title").focus({ preventScroll: !narrow });
    if (narrow) at("detail").scrollIntoView({ block: "start" });
  },
  remove,
  unseen: (item) => {
    if (item === grid.chosen) detail?.show(item);
  },
});

function trouble(words) {
  at("trouble").textContent = words;
  show(at("trouble"), words !== "");
}

async function begin() {
  try {
    model = await api.model();
  } catch (error) {
    show(at("key-form"), error.status === 401);
    if (error.status === 401) at("model").textContent = "This server asks for a key.";
    trouble(error.status === 401 && at("key").value === "" ? "" : error.message);
    return;
  }
  trouble("");
  show(at("key-form"), false);
  detail = new Detail(model, setPatient);
  const task = { binary: "benign or malignant", subtype: plural(model.classes.length, "tumour type") }[model.task]
    ?? plural(model.classes.length, "class").replace("classs", "classes");
  at("model").textContent = `Model ${model.name}: ${task}. ${model.calibrated ? "Calibrated." : "Not calibrated."}`;
  at("limits").textContent = `H&E, 8-bit RGB: PNG, JPEG, TIFF, BMP or WebP; up to ${size(model.limits.max_bytes)} and `
    + `${+(model.limits.max_pixels / 1e6).toFixed(1)} million pixels each.`;
  if (grid.chosen !== null) detail.show(grid.chosen);
  send();
}

function take(files) {
  for (const file of files) {
    ids += 1;
    const item = {
      id: ids, file, name: file.name, url: URL.createObjectURL(file), patient: patientOf(file.name),
      result: null, trouble: null, sent: false, visible: true, target: null, explained: new Map(),
    };
    grid.add(item);
  }
  if (!grid.items.length) return;
  document.body.classList.add("busy");
  show(at("work"), true);
  if (grid.chosen === null) grid.choose(grid.items[0]);
  report();
  send();
}

// Photographs that are sent together: a few, and not more bytes than a request may hold.
function next() {
  const found = [];
  let bytes = 0;
  for (const item of grid.items) {
    if (item.sent) continue;
    if (item.file.size > model.limits.max_bytes) {
      item.sent = true;
      item.trouble = `too large: ${size(item.file.size)}; at most ${size(model.limits.max_bytes)}`;
      redraw(item);
      continue;
    }
    if (found.length === TOGETHER || (found.length && bytes + item.file.size > model.limits.max_body / 4)) break;
    found.push(item);
    bytes += item.file.size;
  }
  return found;
}

async function send() {
  if (model === null || sending >= AT_ONCE) return;
  const items = next();
  if (!items.length) {
    report();
    return;
  }
  sending += 1;
  for (const item of items) {
    item.sent = true;
    grid.draw(item);
  }
  send();
  try {
    const told = await api.predict(items);
    items.forEach((item, n) => { item.result = told.results[n]; });
  } catch (error) {
    for (const item of items) item.trouble = error.message;
  }
  sending -= 1;
  items.forEach(redraw);
  report();
  summarize();
  send();
}

function redraw(item) {
  grid.draw(item);
  if (item === grid.chosen) detail.show(item);
}

function report() {
  const all = grid.items.length;
  const done = grid.items.filter((i) => i.result !== null || i.trouble !== null);
  const bad = done.filter((i) => i.trouble !== null || i.result.error !== null).length;
  const look = done.filter((i) => i.result?.prediction?.review).length;
  at("csv").disabled = !done.length;
  if (done.length < all) at("status").textContent = `${done.length} of ${all} answered …`;
  else if (all) {
    at("status").textContent = `${plural(all, "photograph")}: ${look} to review`
      + (bad ? `, ${bad} could not be read.` : ".");
  }
}

function setPatient(item, patient) {
  item.patient = patient;
  summarize();
}

async function summarize() {
  asked += 1;
  const mine = asked;
  const known = grid.items.filter((i) => i.patient !== "" && (i.result !== null || i.trouble !== null));
  if (!known.length) {
    show(at("patients"), false);
    return;
  }
  const images = known.map((i) => {
    const said = i.result?.prediction ?? null;
    return { patient_id: i.patient, review: said?.review ?? true, predicted: said?.predicted ?? null, probabilities: said?.probabilities ?? null };
  });
  let told;
  try {
    told = await api.patients(images);
  } catch (error) {
    trouble(error.message);
    return;
  }
  if (mine !== asked) return;
  at("patient-rows").replaceChildren(...told.patients.map(patientRow));
  show(at("patients"), true);
}

function patientRow(p) {
  const mean = p.by_mean_probability === null ? "–" : detail.named(p.by_mean_probability);
  const share = p.mean === null ? [] : [" ", make("small", {}, percent(p.mean[p.by_mean_probability]))];
  const votes = p.by_majority === null ? [] : [" ", make("small", {}, `${p.votes[p.by_majority]} of ${p.images}`)];
  const number = (n) => make("td", { class: "number" }, String(n));
  return make("tr", {}, make("th", { scope: "row" }, p.patient_id), make("td", {}, mean, ...share),
    make("td", {}, p.by_majority === null ? "–" : detail.named(p.by_majority), ...votes),
    number(p.images), number(p.to_review), number(p.unread));
}

function remove(item) {
  URL.revokeObjectURL(item.url);
  grid.remove(item);
  if (!grid.items.length) empty();
  report();
  summarize();
}

function empty() {
  show(at("work"), false);
  document.body.classList.remove("busy");
  at("files").focus();
}

function download() {
  const blob = new Blob([csv(model.columns, grid.items)], { type: "text/csv" });
  const link = make("a", { href: URL.createObjectURL(blob), download: "magnostic.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

at("files").addEventListener("change", () => {
  take(at("files").files);
  at("files").value = "";
});
at("csv").addEventListener("click", download);
at("clear").addEventListener("click", () => {
  for (const item of [...grid.items]) remove(item);
});
at("back").addEventListener("click", () => {
  grid.focus();
  at("grid").scrollIntoView({ block: "start" });
});
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.useKey(at("key").value);
  begin();
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take(event.dataTransfer?.files ?? []);
  });
}
begin();
