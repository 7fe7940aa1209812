// Sets the chosen colour theme before the first paint. Without a choice, style.css follows the system's preference.
// A classic script: modules run only after the page is parsed, so the wrong theme would flash.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage is forbidden: the system's preference applies
  }
})();
