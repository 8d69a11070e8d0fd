// The configuration dialog: try, save, mend the webhook, delete.

import { api } from "./api.js";
import { sentence, toast, working } from "./words.js";
import { chosen } from "./tree.js";

export function configure(form, dialog, open) {
  const id = form.dataset.configure;
  const provider = form.dataset.provider;
  const select = form.querySelector("[data-choices]");

  form.querySelector("[data-test]").addEventListener("click", (event) => working(event.currentTarget, async () => {
    const verdict = form.querySelector("[data-verdict]");
    verdict.className = "verdict";
    verdict.textContent = "Asking…";
    clear(form);
    try {
      const found = await api("POST", `/integrations/${id || provider}/test`, tried(form, id));
      verdict.className = `verdict ${found.success ? "good" : "bad"}`;
      verdict.textContent = found.message;
      fill(select, found.choices);
    } catch (error) {
      verdict.textContent = "";
      faults(form, error);
    }
  }));

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    working(event.submitter ?? form, async () => {
      clear(form);
      try {
        await save(form, id, provider);
        dialog.close();
        toast(id ? "Saved." : "Connected. Enable it, then import what is there already.");
      } catch (error) {
        faults(form, error);
      }
    });
  });

  for (const button of form.querySelectorAll("[data-mend]")) {
    button.addEventListener("click", () => working(button, async () => {
      const wish = button.dataset.mend === "rotate" ? { rotate: true } : {};
      const done = await api("POST", `/integrations/${id}/webhook`, wish);
      await open(`/dialogs/configure/${id}`).catch(() => dialog.close());
      const still = done.webhook?.status === "suspended" ? "The source left it suspended. Within a minute another one takes its place; Repair does so at once." : "";
      const bad = done.problem ? sentence(done.problem) : still;
      toast(bad || tended(button.dataset.mend, done.did), bad !== "");
    }));
  }

  const confirm = form.querySelector("[data-confirm]");
  const remove = form.querySelector("[data-delete]");
  confirm?.addEventListener("input", () => { remove.disabled = confirm.value !== confirm.dataset.confirm; });
  remove?.addEventListener("click", () => working(remove, async () => {
    await api("DELETE", `/integrations/${id}`);
    dialog.close();
    toast("Deleted, with everything it had brought.");
    if (location.pathname !== "/") location.assign("/");
  }));
}

function tended(asked, did) {
  if (asked === "rotate") return "The webhook has a new secret. What is still signed with the old one is taken for a while.";
  if (asked === "register") return "Registered. Changes arrive by themselves from now on.";
  return did.length ? "Mended. Deliveries arrive again, and a sync fetches what was missed." : "It was in order already; nothing had to be done.";
}

function settings(form) {
  const given = {};
  for (const field of form.querySelectorAll("[data-setting]")) {
    const name = field.dataset.setting;
    if (field.dataset.kind === "boolean") given[name] = field.checked;
    else if (field.value.trim()) given[name] = field.value.trim();
  }
  return { ...given, ...chosen(form, "spaces", "lists") };
}

function tried(form, id) {
  const given = Object.fromEntries(Object.entries(settings(form)).filter(([name]) => name !== "spaces" && name !== "lists"));
  return id && !form.querySelector("[data-kind=secret]").value ? {} : { settings: given };
}

async function save(form, id, provider) {
  const body = { display_name: form.elements.display_name.value.trim(), settings: settings(form) };
  if (id) return api("PATCH", `/integrations/${id}`, body, form.dataset.etag ? { "if-match": form.dataset.etag } : {});
  for (const name of ["org_id", "project_id"]) if (form.elements[name]) body[name] = form.elements[name].value.trim();
  return api("POST", "/integrations", { ...body, name: provider, enabled: true });
}

function fill(select, choices) {
  const found = choices?.[select?.dataset.choices];
  if (!found?.length) return;
  const before = select.value;
  select.replaceChildren(...found.map((one) => new Option(`${one.name} (${one.id})`, one.id)));
  select.value = found.some((one) => one.id === before) ? before : found[0].id;
}

function clear(form) {
  for (const one of form.querySelectorAll(".error")) one.hidden = true;
  for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
}

function faults(form, error) {
  let placed = 0;
  for (const { where, what } of error.faults ?? []) {
    const name = where.replace(/^body\.settings\./, "");
    const line = form.querySelector(`#fault-${CSS.escape(name)}`);
    if (!line) continue;
    line.textContent = `${line.parentElement.querySelector("label").textContent} ${what}.`;
    line.hidden = false;
    const field = form.querySelector(`#set-${CSS.escape(name)}`);
    field.setAttribute("aria-invalid", "true");
    if (!placed++) field.focus();
  }
  if (placed) return;
  const box = form.querySelector("[data-error]");
  box.textContent = error.message;
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
}
