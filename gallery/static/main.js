// What every view does at once: times in words, the theme, and hearing clicks. Everything else is fetched once the
// view is shown, or by the first click that needs it.

const root = document.documentElement;
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const YEAR = 31536000;

export function ages(within = document) {
  for (const one of within.querySelectorAll("time[data-ago]")) {
    const seconds = (new Date(one.dateTime) - Date.now()) / 1000;
    const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) ?? ["second", 1];
    const text = Math.abs(seconds) < 5 ? "just now" : relative.format(Math.round(seconds / size), unit);
    if (one.textContent !== text) one.textContent = text;
  }
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
if (document.querySelector("[data-retry]")) setTimeout(() => location.reload(), 10000);
