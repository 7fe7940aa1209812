// The chosen colour theme, before the first paint. Without a choice the system's preference rules (style.css).
// A classic script, because modules run only after the page was parsed and would let the wrong theme flash.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden: then the system's preference is the right answer anyway.
  }
})();
