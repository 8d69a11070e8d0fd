// Parts marked data-live are replaced by what the server renders now; the server says over SSE when to look.

import { ages } from "./main.js";

const AGAIN = 5000;

let paused = false;
let looking = false;
let again = false;

/** A part as the server sent it: with times as times, not in words. */
function sent(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time[data-ago]")) time.textContent = time.title;
  for (const row of copy.querySelectorAll(".new")) {
    row.classList.remove("new");
    if (!row.className) row.removeAttribute("class");
  }
  return copy.innerHTML;
}

export async function refresh() {
  if (paused || document.hidden || !live() || document.querySelector("dialog[open]")) return;
  if (looking) { again = true; return; }
  looking = true;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.status === 503) stale("This page cannot get at its data");
    if (response.redirected) location.reload(); // to the door, and back here
    if (response.redirected || !response.ok) return;
    stale("");
    replace(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    stale("The gallery does not answer");
  } finally {
    looking = false;
    if (again) { again = false; setTimeout(refresh, 300); }
  }
}

let since = "";

/** Say that what is shown may be old, and why; or, with nothing, that it is not. */
function stale(why) {
  const line = document.getElementById("stale");
  since = why && (since || new Date().toLocaleTimeString("en-GB"));
  line.hidden = !why;
  line.textContent = why && `${why} right now. What you see is as of ${since}; nothing is lost, and the page goes on by itself.`;
}

function replace(next) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const made = next.getElementById(old.id);
    if (!made || made.innerHTML === sent(old) || old.querySelector("details[open]")) continue;
    const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
    const known = new Set([...old.querySelectorAll(".rows a")].map((one) => one.href));
    const moved = document.importNode(made, true);
    ages(moved);
    for (const row of moved.querySelectorAll(".rows a")) if (known.size && !known.has(row.href)) row.parentElement.classList.add("new");
    old.replaceWith(moved);
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }
}

/** Look no more, or again. */
export function pause(tail) {
  paused = !paused;
  tail.setAttribute("aria-pressed", String(!paused));
  tail.querySelector("span").textContent = paused ? "Paused" : "Live";
  return refresh();
}

export function follow() {
  if (!live()) return; // nothing here would be replaced
  document.addEventListener("toggle", (event) => { if (event.target.matches?.("details:not([open])")) refresh(); }, true);
  let stream = null;
  const listen = () => {
    if (document.hidden) { stream?.close(); stream = null; return; } // so that a session which nobody looks at idles
    if (stream) return;
    stream = new EventSource("/live");
    stream.addEventListener("changed", refresh);
    stream.addEventListener("error", () => {
      refresh(); // what happened since it was cut off is not told
      if (stream.readyState !== EventSource.CLOSED) return; // it reconnects by itself
      stream = null;
      setTimeout(listen, AGAIN);
    });
    stream.addEventListener("open", () => { if (since) refresh(); });
    stream.addEventListener("event", () => { if (document.querySelector("[data-tail]")) refresh(); });
    stream.addEventListener("ended", () => { stream.close(); location.reload(); });
  };
  document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) refresh(); });
  listen();
}

const live = () => document.querySelector("[data-live]") !== null;
