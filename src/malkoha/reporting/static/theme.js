"use strict";
// Before the first paint: the theme that was chosen last time, if any.
try {
  const chosen = localStorage.getItem("malkoha-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* storage may be closed to a page of a file */ }
