// Puts the page together: choosing, keys, lists, theme, paper.

function card(index, position, facts) {
  const box = $("process-card");
  box.hidden = position < 0;
  if (position < 0) return;
  const d = index;
  const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const ended = d.ended[position];
  const command = d.command[position];
  const touched = Object.entries(facts.touched).filter(([, entries]) => entries.length);
  const total = touched.reduce((sum, [, entries]) => sum + entries.length, 0);
  box.replaceChildren(
    h("div", { class: "card-top" }, h("b", {}, shown(d.name[position])), h("code", {}, shown(d.exe[position]))),
    command ? h("code", { class: "command" }, shown(command)) : "",
    h(
      "dl",
      { class: "card-facts" },
      fact("pid", String(d.pid[position])),
      fact("parent", String(d.ppid[position])),
      fact("exit", shown(d.exit[position] || "not known")),
      fact("began", `${moment(d.first[position])} s`),
      fact("lived", ended === null ? "to the end of the run" : took(ended - d.first[position])),
      d.threads[position] > 1 ? fact("threads", whole(d.threads[position])) : null,
      facts.images[0]?.[3] ? fact("folder", shown(facts.images[0][3])) : null,
      facts.names.length > 1 ? fact("names it bore", shown(facts.names.join(" → "))) : null,
    ),
    facts.images.length > 1
      ? h("ul", { class: "card-images", "aria-label": "Programs that it ran" }, facts.images.map(([time, path, line]) => h("li", {}, h("time", {}, moment(time)), h("code", { title: plainText(path) }, shown(line || path)))))
      : "",
    total
      ? h(
          "details",
          { class: "card-touched" },
          h("summary", {}, `What it touched (${whole(total)})`),
          h("div", { class: "lists" }, touched.map(([name, entries]) => h("div", { class: "list" }, h("h4", {}, shown(name.replaceAll("_", " ")), " ", h("span", { class: "n" }, whole(entries.length))), h("ul", {}, entries.map((text) => h("li", {}, shown(text))))))),
        )
      : "",
  );
}

async function wholeList(button) {
  const list = button.closest(".list").querySelector("ul");
  button.remove();
  const rest = await unpack(button.dataset.more);
  list.append(...(rest ?? []).map((text) => h("li", {}, shown(text))));
}

/** Filter the lists of what was touched; what is still packed is unpacked first. */
function filterLists() {
  const section = $("touched");
  const input = $("touched-search");
  if (!section || !input) return;
  input.addEventListener(
    "input",
    calmly(async () => {
      await Promise.all([...section.querySelectorAll("[data-more]")].map(wholeList));
      const words = input.value.toLowerCase();
      for (const list of section.querySelectorAll(".list")) {
        let any = false;
        for (const item of list.querySelectorAll("li")) {
          item.hidden = !item.textContent.toLowerCase().includes(words);
          any ||= !item.hidden;
        }
        list.hidden = !any;
      }
    }),
  );
}

async function strings() {
  const box = $("string-list");
  if (!box) return null;
  const all = (await unpack("strings")) ?? [];
  let some = all;
  const grid = new Grid(box, { draw: (row) => h("div", { class: "sr-row", role: "listitem" }, shown(some[row])), height: () => 22, empty: () => "No string bears these words." });
  box.style.height = Math.min(15, Math.max(2, all.length)) * 22 + "px";
  grid.setCount(all.length);
  $("string-search").addEventListener("input", calmly(() => {
    const words = $("string-search").value.toLowerCase();
    some = words ? all.filter((text) => text.toLowerCase().includes(words)) : all;
    $("string-count").textContent = words ? `${whole(some.length)} of ${whole(all.length)}` : whole(all.length);
    box.scrollTop = 0;
    grid.setCount(some.length);
  }));
  return grid;
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("malkoha-theme", root.dataset.theme);
  } catch { /* the choice then holds for this page only */ }
}

function keys(calls) {
  const dialog = $("keys");
  $("help").addEventListener("click", () => dialog.showModal());
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  const go = (section, box) => {
    $(section).scrollIntoView();
    $(box).focus({ preventScroll: true });
  };
  const actions = {
    "/": () => {
      $("calls").scrollIntoView();
      $("call-search").focus({ preventScroll: true });
      $("call-search").select();
    },
    "?": () => dialog.showModal(),
    t: switchTheme,
    p: () => go("processes", "tree"),
    c: () => go("calls", "call-list"),
    f: () => $("chips").querySelector('[data-value="!failed"]')?.click(),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    const typing = event.target.matches("input");
    if (event.key === "Escape") {
      if (typing && event.target.value) {
        event.target.value = "";
        event.target.dispatchEvent(new Event("input"));
      } else if (typing) {
        event.target.blur();
        if (event.target.id === "call-search") $("call-list").focus({ preventScroll: true });
      } else if (!calls.close()) {
        calls.clear();
      }
    } else if (typing && event.key === "ArrowDown" && event.target.id === "call-search") {
      event.preventDefault();
      $("call-list").focus({ preventScroll: true });
      calls.grid.move(0);
    } else if (!typing && event.key in actions) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}

/** Chosen by a mark of a signature: its process, then its call. */
async function jump(button, index, tree, calls) {
  const column = button.dataset.by === "key" ? index.key : index.pid;
  const position = column.indexOf(Number(button.dataset.owner));
  if (position < 0) return say("The report does not hold this process.");
  await tree.choose(position);
  document.querySelector(".calls-panel").scrollIntoView();
  if (!calls.reveal(Number(button.dataset.cid))) {
    say("The report holds only the first calls of this process; events.parquet has this one.");
    $("call-count").textContent += " (this call is only in events.parquet)";
  }
}

async function start() {
  $("theme").addEventListener("click", switchTheme);
  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      copyText(copy.dataset.copy);
      copy.classList.add("done");
      setTimeout(() => copy.classList.remove("done"), 1200);
    }
    const more = event.target.closest("[data-more]");
    if (more) wholeList(more);
  });
  for (const link of document.querySelectorAll("[data-why]")) {
    const found = [...document.querySelectorAll(".sig")].find((sig) => sig.dataset.name === link.dataset.why);
    if (found) link.setAttribute("href", "#" + found.id);
  }
  if (!("DecompressionStream" in window)) {
    $("tree").append(h("p", { class: "empty" }, "This browser is too old to unpack the processes and calls; one of 2023 or newer can."));
    return;
  }
  const [index, signatures] = await Promise.all([unpack("processes"), unpack("signatures")]);
  const calls = new Calls(index, signatures);
  const tree = new ProcessTree({ ...EMPTY, ...index }, async (position) => {
    $("all-calls").setAttribute("aria-pressed", String(position < 0));
    $("call-of").replaceChildren(...(position < 0 ? ["of all processes, in the order of the kernel"] : ["of ", ...shown(index.name[position].slice(0, 80)), ` (${index.pid[position]})`]));
    const [block] = await Promise.all([position < 0 ? null : calls.block(position), calls.show(position)]);
    if (tree.chosen === position) card(index, position, block?.facts);
  });
  $("all-calls").addEventListener("click", () => tree.choose(-1));
  $("process-search").addEventListener("input", calmly(() => {
    tree.words = $("process-search").value.toLowerCase();
    tree.update();
  }));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.jump");
    if (button) jump(button, index, tree, calls);
  });
  filterLists();
  keys(calls);
  const list = await strings();
  addEventListener("beforeprint", () => [[tree.grid, 300], [calls.grid, 200], [list, 200]].forEach(([grid, limit]) => grid?.print(limit)));
  addEventListener("afterprint", () => [tree.grid, calls.grid, list].forEach((grid) => grid?.unprint()));
  if (index.key.length) await tree.choose(0);
  else calls.grid.setCount(0);
  document.documentElement.dataset.ready = "yes";
}

const EMPTY = { pid: [], ppid: [], depth: [], name: [], exe: [], command: [], first: [], ended: [], exit: [], bad: [], threads: [], total: [], shown: [], evidence: [], marks: [] };

start().catch((error) => {
  $("tree").append(h("p", { class: "empty" }, "The processes and calls cannot be shown: " + error));
  document.documentElement.dataset.ready = "failed";
});
