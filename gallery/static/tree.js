// Spaces, folders and lists to choose from: tri-state, with counts, by mouse and keyboard (WAI-ARIA tree).

import { api } from "./api.js";

export function trees(root) {
  for (const place of root.querySelectorAll("[data-tree]")) {
    const button = place.querySelector("[data-tree-load]");
    if (button) button.addEventListener("click", () => load(place, true));
    else load(place, false);
  }
}

/** What is chosen, under these two names; nothing if the tree was not opened. */
export function chosen(root, spaces, lists) {
  const place = root.querySelector("[data-tree]");
  const tree = place?.querySelector('[role="tree"]');
  if (!tree) return {};
  const whole = [...tree.querySelectorAll('[data-type="space"][aria-checked="true"]')];
  const single = [...tree.querySelectorAll('[data-type="list"][aria-checked="true"]')].filter((one) => !whole.some((space) => space.contains(one)));
  return { [spaces]: whole.map((one) => one.dataset.id), [lists]: single.map((one) => one.dataset.id) };
}

async function load(place, focus) {
  place.replaceChildren(...[1, 2, 3].map(() => Object.assign(document.createElement("div"), { className: "skeleton" })));
  try {
    const { containers } = await api("GET", `/integrations/${place.dataset.tree}/structure`);
    draw(place, containers);
    if (focus) place.querySelector('[role="treeitem"]')?.focus();
  } catch (error) {
    const line = Object.assign(document.createElement("p"), { className: "error", textContent: error.message });
    const retry = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: "Try again" });
    retry.addEventListener("click", () => load(place, true));
    place.replaceChildren(line, retry);
  }
}

function draw(place, containers) {
  const tree = document.createElement("ul");
  tree.setAttribute("role", "tree");
  tree.setAttribute("aria-label", place.dataset.label);
  tree.setAttribute("aria-multiselectable", "true");
  tree.append(...containers.map(item));
  place.className = "tree";
  place.replaceChildren(tree);
  const saved = new Set([...place.dataset.spaces.split(","), ...place.dataset.lists.split(",")].filter(Boolean));
  for (const one of tree.querySelectorAll("[data-id]")) if (saved.has(one.dataset.id)) set(one, true);
  const first = tree.querySelector('[role="treeitem"]');
  if (first) first.tabIndex = 0;
  tree.addEventListener("click", (event) => toggle(event.target.closest('[role="treeitem"]')));
  tree.addEventListener("keydown", keys);
}

function item(one) {
  const made = document.createElement("li");
  made.setAttribute("role", "treeitem");
  made.setAttribute("aria-checked", "false");
  made.dataset.id = one.id;
  made.dataset.type = one.type;
  made.tabIndex = -1;
  const node = Object.assign(document.createElement("div"), { className: "node" });
  const count = one.items === null ? "" : String(one.items);
  node.append(
    Object.assign(document.createElement("span"), { className: "box" }),
    Object.assign(document.createElement("span"), { textContent: one.name + (one.archived ? " (archived)" : "") }),
    Object.assign(document.createElement("span"), { className: "count quiet small", textContent: count }),
  );
  made.append(node);
  if (one.containers.length) {
    const inner = document.createElement("ul");
    inner.setAttribute("role", "group");
    inner.append(...one.containers.map(item));
    made.setAttribute("aria-expanded", "true");
    made.append(inner);
  }
  return made;
}

function toggle(one) {
  if (one) set(one, one.getAttribute("aria-checked") !== "true");
}

function set(one, on) {
  for (const each of [one, ...one.querySelectorAll('[role="treeitem"]')]) each.setAttribute("aria-checked", String(on));
  for (let up = parent(one); up; up = parent(up)) {
    const below = [...up.querySelector(':scope > [role="group"]').children].map((each) => each.getAttribute("aria-checked"));
    up.setAttribute("aria-checked", below.every((state) => state === "true") ? "true" : below.some((state) => state !== "false") ? "mixed" : "false");
  }
}

const parent = (one) => one.parentElement.closest('[role="treeitem"]');

function keys(event) {
  const here = event.target.closest('[role="treeitem"]');
  const all = [...event.currentTarget.querySelectorAll('[role="treeitem"]')].filter((one) => one.offsetParent);
  const at = all.indexOf(here);
  const steps = { ArrowDown: all[at + 1], ArrowUp: all[at - 1], Home: all[0], End: all.at(-1) };
  if (event.key === " " || event.key === "Enter") toggle(here);
  else if (event.key in steps) focus(steps[event.key], here);
  else if (event.key === "ArrowRight") open(here) || focus(here.querySelector('[role="treeitem"]'), here);
  else if (event.key === "ArrowLeft") close(here) || focus(parent(here), here);
  else return;
  event.preventDefault();
}

function focus(next, here) {
  if (!next) return;
  here.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function open(one) { return fold(one, "false", "true", false); }
function close(one) { return fold(one, "true", "false", true); }

function fold(one, from, to, hidden) {
  if (one.getAttribute("aria-expanded") !== from) return false;
  one.setAttribute("aria-expanded", to);
  one.querySelector(':scope > [role="group"]').hidden = hidden;
  return true;
}
