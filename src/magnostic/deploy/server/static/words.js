// What the page says, and how names are read.

export const REASONS = {
  error: "It could not be read.",
  abstained: "The model is too unsure to answer at the error rate it was set to.",
  set: "More than one class is possible at this confidence.",
  small: "It has fewer pixels than the network takes and had to be enlarged.",
  blank: "There is next to nothing to see.",
  blurred: "It is out of focus.",
  far: "It is unlike the training images.",
};

// year-number-letters of a BreakHis name, which counts as the patient.
const BREAKHIS = /^SOB_[BM]_[A-Z]+-(\d+-\w+)-\d+-\d+/i;

export function patientOf(name) {
  const found = BREAKHIS.exec(name);
  return found ? found[1] : "";
}

export const percent = (share) => `${(100 * share).toFixed(1)}%`;
export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

export function size(bytes) {
  return bytes >= 2 ** 20 ? `${+(bytes / 2 ** 20).toFixed(1)} MiB` : `${+(bytes / 1024).toFixed(1)} KiB`;
}

// The same columns as `magnostic predict`.
export function csv(columns, items) {
  const lines = [columns, ...items.map((item) => columns.map((name) => cell(item, name)))];
  return lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}

function cell(item, name) {
  if (name === "path") return item.name;
  if (name === "patient_id") return item.patient;
  const told = item.result;
  if (told === null) return name === "error" ? "not answered" : "";
  if (told.error !== null) return { error: told.error.detail, review: true, reasons: "error" }[name];
  const said = told.prediction;
  if (name === "y_pred") return said.predicted;
  if (name === "set" || name === "reasons") return said[name] === null ? "" : said[name].join("|");
  if (name.startsWith("p_")) return said.probabilities[name.slice(2)];
  if (name in said && typeof said[name] !== "object") return said[name];
  const point = Object.keys(said.points).find((p) => name.endsWith(`_${p}`));
  return point === undefined ? "" : said.points[point];
}

function quoted(value) {
  let text = value === undefined || value === null ? "" : String(value);
  // A name that a spreadsheet would take for a formula.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
