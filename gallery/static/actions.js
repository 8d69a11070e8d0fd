// What single buttons do: open a dialog, switch, sync, cancel, try again, apply again, settle dead letters, sign out.

import { api } from "./api.js";
import { signOut } from "./door.js";
import { open, sure } from "./dialogs.js";
import { pause, refresh } from "./live.js";
import { toast, working } from "./words.js";

const ACTIONS = {
  dialog: (button) => open(button.dataset.dialog),
  signOut,
  tail: pause,
  switch: async (button) => {
    const enabled = button.getAttribute("aria-checked") !== "true";
    await api("PATCH", `/integrations/${button.dataset.switch}`, { enabled });
    button.setAttribute("aria-checked", String(enabled));
    toast(enabled ? "Enabled. Deliveries are taken from now on." : "Disabled. Nothing is read until it is enabled again.");
    await refresh();
  },
  sync: async (button) => {
    const job = await api("POST", `/integrations/${button.dataset.sync}/sync`, {});
    toast(job.kind === "import" ? "The first import begins." : "Syncing what changed.");
    await refresh();
  },
  cancel: async (button) => {
    await api("POST", `/jobs/${button.dataset.cancel}/cancel`);
    toast("It ends after the page it is at. What it read stays.");
    await refresh();
  },
  retryJob: async (button) => {
    const job = await api("POST", `/integrations/${button.dataset.retryJob}/sync`, { kind: button.dataset.kind });
    location.assign(`/jobs/${job.id}`);
  },
  replay: async (button) => {
    await api("POST", `/events/${button.dataset.replay}/replay`);
    toast("Published again. A row changes only where it was wrong.");
    setTimeout(refresh, 1500);
  },
  settle: async (button) => {
    const { settle, reason, consumer, count } = button.dataset;
    const discard = settle === "discard";
    if (discard && !(await sure("Discard for good?", `${count} dead letters would be gone. The delivery log keeps the events for as long as it keeps any.`, "Discard"))) return;
    const done = await api("POST", `/dead-letters/${settle}`, { reason: reason.slice(0, 200), consumer });
    toast(`${done.done} ${discard ? "discarded" : "given back to their consumer"}.`);
    setTimeout(() => location.reload(), 1200);
  },
};

/** What a button is for, if it is one of these. */
export function act(button) {
  for (const [name, run] of Object.entries(ACTIONS)) if (name in button.dataset) working(button, () => run(button));
}
