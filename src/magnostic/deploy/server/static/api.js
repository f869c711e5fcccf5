// The server's answers; every failure is an Error with words for people.

let key = "";

export function useKey(given) {
  key = given;
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers ?? {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  for (let tries = 0; ; tries += 1) {
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch {
      throw new Error("The server does not answer. Is it still running?");
    }
    if (response.status === 503 && tries < 20) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    const told = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
    if (response.ok || (told.results ?? null) !== null) return told;
    throw Object.assign(new Error(told.detail), { status: response.status });
  }
}

export const model = () => ask("/v1/model");

export function predict(items) {
  const form = new FormData();
  for (const item of items) form.append("images", item.file, item.name);
  return ask("/v1/predict", { method: "POST", body: form });
}

export function explain(item, target) {
  const form = new FormData();
  form.append("image", item.file, item.name);
  form.append("target", target);
  return ask("/v1/explain", { method: "POST", body: form });
}

export function patients(images) {
  const headers = { "Content-Type": "application/json" };
  return ask("/v1/patients", { method: "POST", headers, body: JSON.stringify({ images }) });
}
