// What every view does at once: times in words, the theme, and hearing clicks. Everything else is fetched once the
// view is shown, or by the first click that needs it.

const root = document.documentElement;
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const YEAR = 31536000;
const RETRY = 5000;

// By hand: the browser's own words for times take it 20 ms to get ready, and everything here is in English.
export function ages(within = document) {
  for (const one of within.querySelectorAll("time[data-ago]")) {
    const seconds = (new Date(one.dateTime) - Date.now()) / 1000;
    const text = Math.abs(seconds) < 5 ? "just now" : seconds < 0 ? `${long(-seconds)} ago` : `in ${long(seconds)}`;
    if (one.textContent !== text) one.textContent = text;
  }
}

function long(seconds) {
  const [unit, size] = UNITS.find(([, least]) => seconds >= least);
  const count = Math.round(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** Light and dark, in a cookie: the server writes it into the page, so that nothing flashes. */
function theme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `kb_theme=${root.dataset.theme}; path=/; max-age=${YEAR}; samesite=strict`;
}

async function then(name, run) {
  let module;
  try {
    module = await import(`./${name}.js`);
  } catch {
    location.reload(); // the gallery went away before this was fetched, and what comes instead says so
    return;
  }
  await run(module);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  if ("themeToggle" in button.dataset) theme();
  else then("actions", ({ act }) => act(button));
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-sign-in]")) return;
  event.preventDefault();
  then("door", ({ signIn }) => signIn(event.target));
});
addEventListener("load", () => setTimeout(() => {
  if (!("signedIn" in document.body.dataset)) return;
  then("actions", () => null);
  then("live", ({ follow }) => follow());
}));
ages();
setInterval(ages, 10000);
if (document.querySelector("[data-retry]")) setInterval(async () => {
  const answer = await fetch(location.href).catch(() => null);
  if (answer && answer.status !== 503) location.reload();
}, RETRY);
