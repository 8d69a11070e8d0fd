// Toasts, times in words, and buttons that show that they are at work.

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** As one writes it: "it is so" becomes "It is so." */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

const place = document.getElementById("toasts"); // kept, for it may go down with a dialog it was moved into

export function toast(text, bad = false) {
  const made = document.createElement("div");
  made.className = bad ? "toast bad" : "toast";
  made.textContent = text;
  const dialog = document.querySelector("dialog[open]");
  if (dialog) dialog.append(place); // what is behind an open dialog is not heard
  else document.body.append(place);
  place.append(made);
  setTimeout(() => made.remove(), bad ? 12000 : 5000);
}

export function ages(root = document) {
  for (const one of root.querySelectorAll("time[data-ago]")) {
    const seconds = (new Date(one.dateTime) - Date.now()) / 1000;
    const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) ?? ["second", 1];
    const text = Math.abs(seconds) < 5 ? "just now" : relative.format(Math.round(seconds / size), unit);
    if (one.textContent !== text) one.textContent = text;
  }
}

/** Run what a button starts, once at a time; a problem becomes a toast. */
export async function working(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    toast(error.message, true);
  } finally {
    button.removeAttribute("aria-busy");
  }
}
