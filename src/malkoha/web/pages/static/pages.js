// What the pages do beyond htmx: keys, theme, copying, dropping files. No text of a sample is ever made into markup here.
"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector, from = document) => from.querySelector(selector);
  const say = (text) => { one("#said").textContent = text; };

  // ------------------------------------------------------------------ theme
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  function switchTheme() {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("malkoha-theme", root.dataset.theme); } catch { /* storage may be closed */ }
  }

  // ------------------------------------------------------------------ rows: chosen by keys, kept when a list is made anew
  let at = null;
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  function mark(row, scroll) {
    for (const other of document.querySelectorAll("[data-row].at")) if (other !== row) other.classList.remove("at");
    at = row ? row.dataset.row : null;
    if (!row) return;
    row.classList.add("at");
    if (scroll) row.scrollIntoView({ block: "nearest" });
  }
  function step(by) {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.dataset.row === at);
    const row = all[Math.min(Math.max(now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by, 0), all.length - 1)];
    mark(row, true);
    row.focus({ preventScroll: true });
  }
  function open() {
    const row = rows().find((each) => each.dataset.row === at);
    if (!row) return false;
    (row.matches("a, button, summary") ? row : one("a, button, summary", row) ?? row).click();
    return true;
  }

  // ------------------------------------------------------------------ keys
  const typing = (element) => element.closest("input, textarea, select, [contenteditable]");
  const go = (place) => { location.href = place; };
  const KEYS = {
    "/": () => { const field = one("#tab [data-find]") ?? one("main [data-find]") ?? one("[data-find]"); field?.focus(); field?.select(); },
    "?": () => one("#keys").showModal(),
    j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
    t: switchTheme, s: () => go("/submit"), a: () => go("/"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Escape" && typing(target)) { target.blur(); return; }
    if (typing(target) || one("dialog[open]")) return;
    const arrow = event.key.startsWith("Arrow");
    if (arrow && target.closest("pre, [tabindex='0']:not([data-row])")) return;
    if (event.key === "Enter" && (target === document.body || target.matches("[data-row]")) && open()) { event.preventDefault(); return; }
    if (/^[1-9]$/.test(event.key)) {
      const tab = document.querySelectorAll("#tabs a")[Number(event.key) - 1];
      if (tab) { event.preventDefault(); tab.click(); }
      return;
    }
    const action = KEYS[event.key];
    if (!action || (arrow && !rows().length)) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("focusin", (event) => { const row = event.target.closest?.("[data-row]"); if (row) mark(row, false); });

  // ------------------------------------------------------------------ clicks
  async function copy(button) {
    try { await navigator.clipboard.writeText(button.dataset.copy); } catch {
      const area = document.createElement("textarea");
      area.value = button.dataset.copy;
      area.className = "sr";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
    say("Copied");
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy], [data-theme-switch], [data-help]");
    if (!button) return;
    if (button.dataset.copy !== undefined) copy(button);
    else if (button.dataset.help !== undefined) one("#keys").showModal();
    else switchTheme();
  });
  document.addEventListener("click", (event) => {
    const line = event.target.closest?.("[data-unfold]");
    if (line) line.setAttribute("aria-expanded", String(line.parentElement.classList.toggle("open")));
    for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("submit", (event) => {
    const asked = event.target.dataset.ask;
    if (asked && !confirm(asked)) event.preventDefault();
  });

  // ------------------------------------------------------------------ tabs
  function current() {
    for (const tab of document.querySelectorAll("#tabs a")) {
      if (tab.pathname === location.pathname) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    one("#tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  document.addEventListener("htmx:pushedIntoHistory", current);
  document.addEventListener("htmx:afterSettle", (event) => {
    current();
    const row = at && document.querySelector(`[data-row="${CSS.escape(at)}"]`);
    if (row) { row.classList.add("at"); if (event.detail.elt?.id === "queue" && document.activeElement === document.body) row.focus({ preventScroll: true }); }
    one(".cl.wanted")?.scrollIntoView({ block: "center" });
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) go("/login?next=" + encodeURIComponent(location.pathname));
  });
  document.addEventListener("htmx:sendError", () => { root.dataset.offline = "yes"; say("The service does not answer"); });
  document.addEventListener("htmx:afterOnLoad", () => { delete root.dataset.offline; });

  // ------------------------------------------------------------------ handing in files
  function files() {
    const drop = one("#drop");
    if (!drop) return;
    const input = one("#files"), list = one("#chosen"), bar = one("#progress");
    const size = (bytes) => bytes < 1000 ? bytes + " B" : bytes < 1e6 ? (bytes / 1e3).toPrecision(3) + " kB" : (bytes / 1e6).toPrecision(3) + " MB";
    function show() {
      list.replaceChildren(...[...input.files].map((file, place) => {
        const item = document.createElement("li"), name = document.createElement("b"), much = document.createElement("span"), button = document.createElement("button");
        name.textContent = file.name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "�");
        much.textContent = size(file.size);
        button.type = "button";
        button.textContent = "×";
        button.setAttribute("aria-label", "Take away");
        button.addEventListener("click", () => set([...input.files].filter((_, other) => other !== place)));
        item.append(name, much, button);
        return item;
      }));
      list.hidden = !input.files.length;
    }
    function set(chosen) {
      const transfer = new DataTransfer();
      for (const file of chosen) transfer.items.add(file);
      input.files = transfer.files;
      show();
    }
    input.addEventListener("change", show);
    for (const kind of ["dragenter", "dragover"]) {
      document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    }
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      set([...input.files, ...event.dataTransfer.files]);
    });
    const form = one("#submit");
    form.addEventListener("htmx:xhr:progress", (event) => {
      if (!event.detail.lengthComputable) return;
      bar.hidden = false;
      bar.value = 100 * event.detail.loaded / event.detail.total;
    });
    form.addEventListener("htmx:afterRequest", (event) => {
      bar.hidden = true;
      if (event.detail.successful) set([]);
    });
  }

  files();
  current();
  one(".cl.wanted")?.scrollIntoView({ block: "center" });
  root.dataset.ready = "yes";
})();
