// The OpenAPI description, set for people.

import { make } from "./dom.js";

const main = document.getElementById("operations");

function resolved(all, schema) {
  return schema?.$ref ? all.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function kind(all, schema) {
  const found = resolved(all, schema) ?? {};
  if (found.anyOf) return found.anyOf.map((s) => kind(all, s)).join(" or ");
  if (found.const !== undefined) return String(found.const);
  if (found.enum) return found.enum.join(", ");
  if (found.type === "array") return `list of ${kind(all, found.items)}`;
  if (found.format === "binary") return "file";
  return found.title && found.properties ? found.title : found.type ?? "anything";
}

// The object inside lists and alternatives, whose fields are told beneath.
function inner(all, schema) {
  const found = resolved(all, schema) ?? {};
  if (found.properties) return found;
  if (found.items) return inner(all, found.items);
  for (const one of found.anyOf ?? []) {
    const within = inner(all, one);
    if (within) return within;
  }
  return null;
}

function fields(all, schema, depth = 0) {
  const list = make("dl", {});
  const needed = new Set(schema.required ?? []);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const what = kind(all, field) + (needed.has(name) || depth ? "" : ", optional");
    const within = depth < 4 ? inner(all, field) : null;
    const words = field.description ?? resolved(all, field)?.description ?? "";
    list.append(make("dt", {}, make("code", {}, name), make("small", {}, what)),
      make("dd", {}, words, ...(within ? [fields(all, within, depth + 1)] : [])));
  }
  return list;
}

function operation(all, path, method, told) {
  const part = make("article", { class: "card" });
  part.append(make("h2", {}, make("b", {}, method.toUpperCase()), ` ${path}`), make("p", {}, `${told.summary}. ${told.description ?? ""}`));
  const bodies = Object.entries(told.requestBody?.content ?? {});
  for (const [type, body] of bodies) {
    part.append(make("h3", {}, "What is sent, as ", make("code", {}, type)), fields(all, inner(all, body.schema)));
  }
  if (path === "/v1/predict") part.append(make("pre", { tabindex: "0" }, `curl -F images=@first.png -F images=@second.png ${location.origin}/v1/predict`));
  if (path === "/v1/explain") part.append(make("pre", { tabindex: "0" }, `curl -F image=@first.png ${location.origin}/v1/explain`));
  part.append(make("h3", {}, "Answers"));
  for (const [status, answer] of Object.entries(told.responses)) {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    const within = schema ? inner(all, schema) : null;
    const more = make("details", {}, make("summary", {}, `${status}: ${within?.description ?? answer.description}`.replace(/^(\d+): Every answer from 400 on\.$/, `$1: ${answer.description}`)));
    if (within) more.append(fields(all, within));
    else more.append(make("p", {}, answer.description));
    part.append(more);
  }
  return part;
}

const all = await (await fetch("/openapi.json")).json();
document.getElementById("about").textContent = `${all.info.description} Version ${all.info.version}.`;
main.replaceChildren();
if (all.components.securitySchemes) main.append(make("p", {}, "Send the API key as ", make("code", {}, "Authorization: Bearer KEY"), "."));
for (const [path, methods] of Object.entries(all.paths)) {
  for (const [method, told] of Object.entries(methods)) main.append(operation(all, path, method, told));
}
