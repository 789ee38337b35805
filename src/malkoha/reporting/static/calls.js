// The calls of the chosen process: found, shown, explained.

const CONSTANT = /^(?:~?\[[A-Z0-9_|~ ]*\]|-?[0-9]+(?:<[^]*>)?|-?0x[0-9a-fA-F]+|[A-Z][A-Z0-9_]*(?:[|&][A-Za-z0-9_]+)*|NULL)$/;
const QUOTE = { "\\": "\\\\", '"': '\\"' };

/** Show a value of an argument; `kind` is "t" for texts, "c" for what is none, undefined where that is not known. */
function valueText(value, kind) {
  if (value === null || value === undefined) return "?";
  if (Array.isArray(value)) return "[" + value.map((item) => valueText(item, kind)).join(", ") + "]";
  if (typeof value === "object") return "{" + Object.entries(value).map(([name, item]) => `${name}=${valueText(item)}`).join(", ") + "}";
  const text = String(value);
  const bare = kind ? kind === "c" : CONSTANT.test(text);
  return bare ? text : '"' + text.replace(/[\\"]/g, (found) => QUOTE[found]) + '"';
}

/** The calls of one process, as columns. */
class Block {
  constructor(data, process) {
    Object.assign(this, data.calls);
    Object.assign(this, { facts: data, process, hay: [] });
  }

  get length() {
    return this.seq.length;
  }

  name(i) {
    return this.apis[this.api[i]][0];
  }

  status(i) {
    return this.errors[this.error[i]];
  }

  /** Give the arguments as {name, text, kind}. */
  args(i) {
    const labels = this.labels[this.names[i]];
    const kinds = this.apis[this.api[i]][1];
    return this.values[i].map((value, n) => ({ name: labels[n] ?? "", text: valueText(value, kinds[n]), value, kind: kinds[n] }));
  }

  line(i) {
    const status = this.status(i);
    const result = this.returned[i] === "" ? "" : ` = ${this.returned[i]}`;
    return `${this.name(i)}(${this.args(i).map((arg) => arg.text).join(", ")})${result}${status ? ` ${status}` : ""}`;
  }

  argText(i) {
    return (this.hay[i] ??= this.args(i).map((arg) => `${arg.name}=${arg.text}`).join(", ").toLowerCase());
  }
}

/** Turn what was typed into a test of one call. */
function parseQuery(text) {
  const tests = [];
  for (const [, minus, field, quoted, word] of text.matchAll(/(-?)(?:(name|arg|ret|err|tid|pid):)?(?:"([^"]*)"?|(\S+))/g)) {
    const wanted = (quoted ?? word).toLowerCase();
    if (!wanted) continue;
    const fields = {
      name: (b, i) => b.name(i).includes(wanted),
      arg: (b, i) => b.argText(i).includes(wanted),
      ret: (b, i) => b.returned[i].toLowerCase() === wanted,
      err: (b, i) => b.status(i).toLowerCase().includes(wanted),
      tid: (b, i) => String(b.tid[i]) === wanted,
      pid: (b, i) => String(b.process.pid) === wanted,
    };
    const any = (b, i) => fields.name(b, i) || fields.arg(b, i) || fields.err(b, i) || fields.ret(b, i);
    const test = field ? fields[field] : any;
    tests.push(minus ? (b, i) => !test(b, i) : test);
  }
  return (b, i) => tests.every((test) => test(b, i));
}

class Calls {
  constructor(index, signatures) {
    this.index = index;
    this.signatures = signatures;
    this.cache = new Map();
    this.chips = new Set();
    this.names = new Set();
    this.all = [];
    this.rows = [];
    this.open = null;
    this.grid = new Grid($("call-list"), {
      draw: (row) => this.row(row),
      height: () => pixels("--call"),
      onMove: (row) => this.open && this.detail(row),
      onEnter: (row) => this.detail(row),
      empty: () => this.emptyText(),
    });
    $("call-list").addEventListener("click", (event) => {
      const row = event.target.closest(".cr");
      if (!row || String(getSelection())) return;
      this.grid.move(Number(row.dataset.row));
      this.detail(Number(row.dataset.row));
    });
    $("call-search").addEventListener("input", calmly(() => this.filter()));
  }

  emptyText() {
    if (this.busy) return "Unpacking…";
    return this.all.length ? "No call fits the filter. Esc clears it." : "No calls of this process are in the report.";
  }

  facts(position) {
    return { pid: this.index.pid[position], name: this.index.name[position], position };
  }

  async block(position) {
    if (!this.cache.has(position)) {
      this.cache.set(position, unpack("process-" + position).then((data) => new Block(data, this.facts(position))));
    }
    return this.cache.get(position);
  }

  /** Show the calls of one process, or of all in the order of the kernel when `position` is -1. */
  async show(position) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.busy = true;
    const positions = position >= 0 ? [position] : [...this.index.key.keys()];
    const blocks = [];
    for (const one of positions) blocks.push(await this.block(one));
    if (turn !== this.turn) return false;
    this.busy = false;
    this.mixed = position < 0;
    this.threads = blocks.some((block) => block.tid.some((tid) => tid !== block.process.pid));
    this.all = blocks.flatMap((block) => Array.from(block.seq, (_, i) => ({ block, i })));
    if (this.mixed) this.all.sort((a, b) => a.block.seq[a.i] - b.block.seq[b.i]);
    this.total = position >= 0 ? this.index.total[position] : this.index.total.reduce((sum, one) => sum + one, 0);
    this.chips.clear();
    this.names.clear();
    this.close();
    this.count();
    this.filter();
    $("call-list").scrollTop = 0;
    this.grid.at = -1;
    return true;
  }

  /** Count kinds and names, and make their chips. */
  count() {
    const kinds = new Map();
    const names = new Map();
    let failed = 0;
    let marked = 0;
    for (const { block, i } of this.all) {
      const kind = block.categories[block.category[i]];
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      names.set(block.name(i), (names.get(block.name(i)) ?? 0) + 1);
      failed += block.status(i) ? 1 : 0;
      marked += i in block.facts.evidence ? 1 : 0;
    }
    const sorted = (map) => [...map].sort((a, b) => b[1] - a[1]);
    const chip = (set, value, label, n, type = "") => {
      const button = h("button", { class: "chip " + type, type: "button", "aria-pressed": "false", "data-value": value }, shown(label), " ", h("span", { class: "n" }, whole(n)));
      button.addEventListener("click", () => this.toggle(set, value));
      return button;
    };
    $("chips").replaceChildren(
      failed ? chip(this.chips, "!failed", "failed", failed, "failed") : "",
      marked ? chip(this.chips, "!marked", "marked", marked, "failed") : "",
      ...sorted(kinds).filter(([kind]) => kind).map(([kind, n]) => chip(this.chips, kind, kind, n)),
    );
    $("tops").replaceChildren(...sorted(names).slice(0, 24).map(([name, n]) => chip(this.names, name, name, n)));
    $("tops").hidden = names.size < 2;
  }

  toggle(set, value) {
    if (set.has(value)) set.delete(value);
    else set.add(value);
    this.filter();
  }

  filter() {
    const test = parseQuery($("call-search").value);
    const failed = this.chips.has("!failed");
    const marked = this.chips.has("!marked");
    const kinds = [...this.chips].filter((chip) => chip[0] !== "!");
    this.rows = this.all.filter(
      ({ block, i }) =>
        (!failed || block.status(i)) &&
        (!marked || i in block.facts.evidence) &&
        (!kinds.length || kinds.includes(block.categories[block.category[i]])) &&
        (!this.names.size || this.names.has(block.name(i))) &&
        test(block, i),
    );
    for (const box of [$("chips"), $("tops")]) {
      const set = box === $("chips") ? this.chips : this.names;
      for (const button of box.children) button.setAttribute("aria-pressed", String(set.has(button.dataset.value)));
    }
    const some = this.rows.length !== this.all.length;
    const cut = this.total > this.all.length ? ` of ${whole(this.total)}; events.parquet has the rest` : "";
    $("call-count").textContent = (some ? `${whole(this.rows.length)} of ${whole(this.all.length)}` : whole(this.all.length)) + cut;
    if (this.open && !this.rows.includes(this.open)) this.close();
    $("call-list").style.height = this.rows.length * pixels("--call") + "px";
    this.grid.setCount(this.rows.length);
    if (some) say(`${this.rows.length} calls`);
  }

  clear() {
    const used = $("call-search").value || this.chips.size || this.names.size;
    $("call-search").value = "";
    this.chips.clear();
    this.names.clear();
    if (used) this.filter();
    return Boolean(used);
  }

  row(number) {
    const entry = this.rows[number];
    const { block, i } = entry;
    const status = block.status(i);
    const who = this.mixed ? `${block.process.pid} ` : this.threads && block.tid[i] !== block.process.pid ? `${block.tid[i]} ` : "";
    return h(
      "div",
      { class: "cr" + (status ? " failed" : "") + (i in block.facts.evidence ? " mark" : "") + (entry === this.open ? " chosen" : ""), role: "row", "data-row": number, "aria-selected": String(entry === this.open) },
      h("span", { class: "t num", role: "gridcell" }, moment(block.time[i])),
      h("span", { class: "a", role: "gridcell" }, who ? h("span", { class: "p" }, who) : null, shown(block.name(i))),
      h("span", { class: "args", role: "gridcell" }, this.short(block.args(i))),
      h("span", { class: "r", role: "gridcell" }, h("span", {}, shown(block.returned[i])), status ? h("b", {}, shown(status)) : null),
    );
  }

  short(args) {
    const nodes = [];
    let room = 420;
    for (const { name, text } of args) {
      if (room <= 0) break;
      if (nodes.length) nodes.push(", ");
      if (name) nodes.push(h("span", { class: "an" }, shown(name + "=")));
      const part = text.slice(0, room);
      nodes.push(text[0] === '"' ? h("span", { class: "as" }, shown(part)) : shown(part));
      room -= part.length + name.length + 2;
    }
    return nodes;
  }

  /** Explain one call beside the list. */
  detail(number) {
    const entry = this.rows[number];
    if (!entry) return;
    this.open = entry;
    const { block, i } = entry;
    const status = block.status(i);
    const begin = new Date((this.index.begin + block.time[i] / 1e6) * 1000);
    const fact = (name, value, style) => (value === "" || value === null ? null : h("div", {}, h("dt", {}, name), h("dd", { class: style }, shown(String(value)))));
    const shut = h("button", { class: "shut", type: "button", "aria-label": "Close" }, "×");
    shut.addEventListener("click", () => this.close(true));
    const copy = h("button", { class: "plain", type: "button" }, "Copy the call");
    copy.addEventListener("click", () => copyText(block.line(i)));
    $("detail").replaceChildren(
      shut,
      h("h3", {}, shown(block.name(i))),
      ...(block.facts.evidence[i] ?? []).map((n) => h("p", { class: "sigline" }, shown(this.signatures[n] ?? "a signature"))),
      h(
        "dl",
        {},
        block.args(i).map((arg, n) => fact(arg.name || "argument " + n, arg.kind === "t" && typeof arg.value === "string" ? arg.value : arg.text)),
        fact("result", block.returned[i] || "did not return", status ? "failed" : ""),
        fact("error", status, "failed"),
        fact("time", `${moment(block.time[i])} s  (${Number.isNaN(begin.getTime()) ? "?" : begin.toISOString().replace("T", " ")})`),
        fact("took", took(block.took[i])),
        fact("process", `${block.process.pid} ${block.process.name}`),
        fact("thread", block.tid[i]),
        fact("called from", block.ip[i] && block.ip[i] !== "0" ? "0x" + block.ip[i] : ""),
        fact("kind", block.categories[block.category[i]]),
        fact("event", block.seq[i]),
      ),
      copy,
    );
    $("detail").hidden = false;
    $("detail").scrollTop = 0;
    this.grid.refresh();
    if (matchMedia("(max-width: 1100px)").matches) $("detail").scrollIntoView({ block: "nearest" });
  }

  close(back = false) {
    const was = this.open;
    this.open = null;
    $("detail").hidden = true;
    if (was) this.grid.refresh();
    if (back) $("call-list").focus();
    return Boolean(was);
  }

  /** Bring one call into sight, by its number in its process. */
  reveal(number) {
    this.clear();
    const row = this.rows.findIndex(({ i }) => i === number);
    if (row < 0) return false;
    this.grid.move(row, true);
    this.detail(row);
    return true;
  }
}
