// The wizard of an import: what, how, begin; then the job's own page, which a reload does not lose.

import { api } from "./api.js";
import { working } from "./words.js";
import { chosen } from "./tree.js";

export function importing(form) {
  const steps = [...form.querySelectorAll("[data-step]")];
  const marks = [...form.querySelectorAll(".steps li")];
  const back = form.querySelector("[data-back]");
  const next = form.querySelector("[data-next]");
  let at = 0;

  function show(to) {
    at = to;
    steps.forEach((step, number) => { step.hidden = number !== at; });
    marks.forEach((mark, number) => (number === at ? mark.setAttribute("aria-current", "step") : mark.removeAttribute("aria-current")));
    back.hidden = at === 0;
    next.textContent = at === 2 ? "Begin" : "Next";
    if (at === 2) form.querySelector("[data-summary]").textContent = summary(form);
  }

  back.addEventListener("click", () => show(at - 1));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (at < 2) { show(at + 1); return; }
    working(next, async () => {
      try {
        const job = await api("POST", `/integrations/${form.dataset.import}/sync`, wish(form));
        location.assign(`/jobs/${job.id}`);
      } catch (error) {
        const box = form.querySelector("[data-error]");
        box.textContent = error.message;
        box.hidden = false;
      }
    });
  });
  show(0);
}

function wish(form) {
  const asked = { kind: form.elements.kind.value };
  for (const [name, ids] of Object.entries(chosen(form, "space_ids", "list_ids"))) if (ids.length) asked[name] = ids;
  for (const box of form.querySelectorAll('[name^="include_"]')) asked[box.name] = box.checked;
  return asked;
}

function summary(form) {
  const asked = wish(form);
  const spaces = asked.space_ids?.length ?? 0;
  const lists = asked.list_ids?.length ?? 0;
  const what = spaces + lists ? `${spaces} whole spaces and ${lists} lists` : "everything the integration is set to read";
  return `A${asked.kind === "import" ? "n import" : ` ${asked.kind}`} of ${what}.`;
}
