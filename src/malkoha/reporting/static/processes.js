// The tree of processes, with the time in which each ran.

const SHAPES = ["M0-5 7 0 0 5z", "M0-4a4 4 0 1 0 .01 0z", "M-1.5-6h3v12h-3z"];
const KINDS = ["program started", "network", "file changed"];

class ProcessTree {
  constructor(data, onChoose) {
    this.data = data;
    this.onChoose = onChoose;
    this.folded = new Set();
    this.words = "";
    this.chosen = -1;
    this.grid = new Grid($("tree"), {
      draw: (row) => this.row(this.visible[row]),
      height: () => pixels("--row"),
      onMove: (row) => this.choose(this.visible[row]),
      onEnter: () => $("call-list").focus(),
      onKey: (event, row) => this.key(event, this.visible[row]),
      empty: () => (this.words ? "No process bears these words." : "No process was seen."),
    });
    $("tree").addEventListener("click", (event) => this.click(event));
    $("process-count").textContent = whole(data.key.length);
    this.update();
    new ResizeObserver(() => this.axis()).observe($("axis"));
  }

  hasChildren(index) {
    return index + 1 < this.data.key.length && this.data.depth[index + 1] > this.data.depth[index];
  }

  /** Find out which rows are not folded away and bear the words; the ancestors of those that do stay. */
  update() {
    const { key, depth, name, command, exe, pid } = this.data;
    this.visible = [];
    const wanted = this.words ? new Set() : null;
    if (wanted) {
      const above = [];
      for (let index = 0; index < key.length; index++) {
        above.length = depth[index];
        above[depth[index]] = index;
        const text = `${pid[index]} ${name[index]} ${exe[index]} ${command[index]}`.toLowerCase();
        if (text.includes(this.words)) above.forEach((ancestor) => wanted.add(ancestor));
      }
    }
    let hidden = Infinity;
    for (let index = 0; index < key.length; index++) {
      if (depth[index] > hidden) continue;
      hidden = Infinity;
      if (wanted && !wanted.has(index)) continue;
      this.visible.push(index);
      if (!wanted && this.folded.has(index)) hidden = depth[index];
    }
    const rows = Math.max(1, this.visible.length);
    $("tree").style.height = rows * pixels("--row") + "px";
    this.grid.setCount(this.visible.length);
  }

  row(index) {
    const d = this.data;
    const guides = Math.min(d.depth[index], matchMedia("(max-width: 700px)").matches ? 6 : 14);
    const parent = this.hasChildren(index);
    const alive = (d.ended[index] ?? d.span) - d.first[index];
    const [first, rest] = split(d.command[index], d.name[index]);
    const row = h(
      "div",
      {
        class: "tr" + (index === this.chosen ? " chosen" : ""),
        role: "row",
        "aria-level": d.depth[index] + 1,
        "aria-selected": String(index === this.chosen),
        "aria-expanded": parent ? String(!this.folded.has(index)) : null,
        "data-index": index,
        title: plainText(`${d.exe[index] || d.name[index]}\n${d.command[index]}`).slice(0, 600),
      },
      h(
        "span",
        { class: "what", role: "gridcell" },
        Array.from({ length: guides }, () => h("span", { class: "guide" })),
        parent ? h("button", { class: "fold", tabindex: "-1", "aria-label": "Fold or unfold" }) : h("span", { class: "leaf" }),
        h("span", { class: "name" }, shown(first)),
        h("span", { class: "cmd" }, shown(rest)),
        d.cause[index] ? h("span", { class: "indirect" }, shown(d.cause[index])) : null,
        d.evidence[index] ? h("span", { class: "flagged" }, `${d.evidence[index]} marked`) : null,
      ),
      h("span", { class: "num pidc", role: "gridcell" }, String(d.pid[index])),
      h("span", { class: "exit bad" + d.bad[index] + (["", "running"].includes(d.exit[index]) ? " none" : ""), role: "gridcell" }, shown(d.exit[index] || "?")),
      h("span", { class: "num took", role: "gridcell" }, d.ended[index] === null ? "" : took(alive)),
      h("span", { class: "num total", role: "gridcell" }, whole(d.total[index])),
      h("span", { class: "span", role: "gridcell", "aria-label": `from ${moment(d.first[index])} s on, ${took(alive)}` }, this.bar(index, alive)),
    );
    return row;
  }

  bar(index, alive) {
    const d = this.data;
    const share = (time) => Math.max(0, Math.min(100, (100 * time) / d.span)).toFixed(3) + "%";
    const svg = s("svg", { "aria-hidden": "true" });
    svg.append(s("rect", { class: d.ended[index] === null ? "open" : "life", x: share(d.first[index]), width: share(Math.max(alive, d.span / 400)), y: "50%", height: 10, rx: 3, transform: "translate(0 -5)" }));
    [2, 1, 0].forEach((kind) => {
      for (const time of d.marks[index][kind]) {
        svg.append(s("svg", { x: share(time), y: "50%", width: 1, height: 1, overflow: "visible" }, s("path", { class: "mk-" + kind, d: SHAPES[kind] }, s("title", {}, `${KINDS[kind]} at ${moment(time)} s`))));
      }
    });
    return svg;
  }

  /** Draw the scale above the bars, in steps that read well. */
  axis() {
    const width = $("axis").clientWidth;
    if (width < 40) return;
    const rough = this.data.span / Math.max(2, width / 90);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const svg = s("svg", {});
    for (let time = 0; time <= this.data.span; time += step) {
      const x = ((100 * time) / this.data.span).toFixed(2) + "%";
      const late = time > this.data.span * 0.93;
      svg.append(s("line", { class: "tick", x1: x, x2: x, y1: 24, y2: 32 }), s("text", { x, y: 18, "text-anchor": time === 0 ? "start" : late ? "end" : "middle" }, time === 0 ? "0" : took(Math.round(time))));
    }
    $("axis").replaceChildren(svg);
  }

  click(event) {
    const row = event.target.closest(".tr");
    if (!row) return;
    const index = Number(row.dataset.index);
    if (event.target.closest(".fold")) this.fold(index, !this.folded.has(index));
    else this.choose(index);
  }

  key(event, index) {
    if (index === undefined) return false;
    if (event.key === "ArrowLeft") {
      if (this.hasChildren(index) && !this.folded.has(index)) this.fold(index, true);
      else this.toParent(index);
      return true;
    }
    if (event.key === "ArrowRight") {
      if (this.folded.has(index)) this.fold(index, false);
      else if (this.hasChildren(index)) this.choose(index + 1);
      return true;
    }
    return false;
  }

  toParent(index) {
    for (let above = index - 1; above >= 0; above--) {
      if (this.data.depth[above] < this.data.depth[index]) return this.choose(above);
    }
  }

  fold(index, closed) {
    if (closed) this.folded.add(index);
    else this.folded.delete(index);
    this.update();
    this.grid.move(this.visible.indexOf(index));
  }

  /** Choose a process and show its calls; -1 chooses all of them. */
  choose(index) {
    this.chosen = index;
    if (index >= 0) {
      const depth = this.data.depth;
      for (let above = index - 1, level = depth[index]; above >= 0 && level > 0; above--) {
        if (depth[above] < level) {
          level = depth[above];
          this.folded.delete(above);
        }
      }
      this.update();
      this.grid.move(this.visible.indexOf(index));
    }
    this.grid.refresh();
    return this.onChoose(index);
  }
}

/** Part a command line into the name of its program and the rest. */
function split(command, name) {
  const space = command.indexOf(" ");
  const first = space < 0 ? command : command.slice(0, space);
  if (first.slice(first.lastIndexOf("/") + 1) === name) return [name, space < 0 ? "" : command.slice(space + 1)];
  return [name, command];
}
