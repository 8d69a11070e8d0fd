// Toasts, and buttons that show that they are at work.

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
