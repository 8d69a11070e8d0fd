// The one dialog: opened with a form that the server renders, filled by the script of that form.

import { toSignIn } from "./api.js";
import { ages } from "./main.js";
import { configure } from "./configure.js";
import { importing } from "./importing.js";
import { refresh } from "./live.js";
import { trees } from "./tree.js";

const dialog = document.getElementById("dialog");

dialog.addEventListener("click", ({ target }) => { if (target.closest("[data-close]") || target === dialog) dialog.close(); });
dialog.addEventListener("close", refresh);

export async function open(path) {
  const response = await fetch(path, { headers: { "x-fragment": "1" } }).catch(() => null);
  if (!response) throw new Error("The gallery does not answer; try again in a moment.");
  if (response.redirected) { toSignIn(); return; }
  const made = new DOMParser().parseFromString(await response.text(), "text/html");
  const form = made.querySelector("form.sheet");
  if (!form) throw new Error(made.querySelector("main")?.innerText.trim() || "It could not be opened.");
  dialog.replaceChildren(document.importNode(form, true));
  ages(dialog);
  dialog.showModal();
  const shown = dialog.querySelector("form");
  trees(shown);
  if ("configure" in shown.dataset) configure(shown, dialog, open);
  else importing(shown, dialog);
}

/** Ask before something that cannot be undone. */
export function sure(title, text, yes) {
  return new Promise((resolve) => {
    const form = document.createElement("form");
    form.className = "sheet";
    form.method = "dialog";
    const head = Object.assign(document.createElement("div"), { className: "top" });
    const heading = Object.assign(document.createElement("h2"), { id: "dialog-title", textContent: title });
    head.append(heading);
    const body = Object.assign(document.createElement("div"), { className: "body", textContent: text });
    const foot = Object.assign(document.createElement("div"), { className: "bottom row end" });
    const no = Object.assign(document.createElement("button"), { className: "button", value: "", textContent: "Keep" });
    const go = Object.assign(document.createElement("button"), { className: "button bad", value: "yes", textContent: yes });
    foot.append(no, go);
    form.append(head, body, foot);
    dialog.replaceChildren(form);
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}
