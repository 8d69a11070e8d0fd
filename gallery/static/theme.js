// Before anything is painted: the theme this browser remembers. Runs blocking in the head, so nothing flashes.
const remembered = localStorage.getItem("theme");
if (remembered === "light" || remembered === "dark") document.documentElement.dataset.theme = remembered;
