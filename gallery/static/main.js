// What every page does.

import { ask } from "./api.js";
import { actions } from "./actions.js";
import { dialogs } from "./dialogs.js";
import { follow } from "./live.js";
import { ages, working } from "./words.js";

const root = document.documentElement;

function theme() {
  document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });
}

function signIn(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const line = form.querySelector(".error");
    line.hidden = true;
    working(form.querySelector("button"), async () => {
      try {
        await ask("POST", "/session", { token: form.elements.token.value });
        location.assign(form.dataset.next);
      } catch (error) {
        line.textContent = error.told ? error.told.detail : error.message;
        line.hidden = false;
        form.elements.token.focus();
      }
    });
  });
}

document.querySelector("[data-sign-out]")?.addEventListener("click", async () => {
  await ask("DELETE", "/session").catch(() => null);
  location.assign("/sign-in");
});
const door = document.querySelector("[data-sign-in]");
if (door) signIn(door);
theme();
ages();
setInterval(ages, 10000);
dialogs();
actions();
if ("signedIn" in document.body.dataset) follow();
const retry = document.querySelector("[data-retry]");
if (retry) setTimeout(() => location.reload(), 10000);
