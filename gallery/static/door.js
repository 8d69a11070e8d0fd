// Signing in with a token, and out.

import { ask } from "./api.js";
import { working } from "./words.js";

export function signIn(form) {
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
}

export async function signOut() {
  await ask("DELETE", "/session").catch(() => null);
  location.assign("/sign-in");
}
