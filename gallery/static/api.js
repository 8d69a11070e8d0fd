// Requests to our own API, and what goes wrong in words. Nothing else in the page calls fetch for JSON.

export class Problem extends Error {
  constructor(told) {
    const detail = told.detail ?? "";
    super(`${told.title}: ${detail}`);
    this.told = told;
    this.faults = told.errors ?? [];
  }
}

const AWAY = { title: "The gallery does not answer", status: 0, detail: "your connection or the server is away; try again in a moment" };

export async function ask(method, path, body, headers = {}) {
  const init = { method, headers: { accept: "application/json", ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["content-type"] = "application/json";
  }
  if (method === "POST") init.headers["idempotency-key"] = key();
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Problem(AWAY);
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (response.status === 401 && path !== "/session") toSignIn();
  throw new Problem({ title: `The server answered ${response.status}`, ...answer });
}

export const api = (method, path, body, headers) => ask(method, `/api/v1${path}`, body, headers);

export function toSignIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function key() {
  const octets = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(octets, (one) => one.toString(16).padStart(2, "0")).join("");
}
