// A list of any length of which only the rows in sight exist. Rows have one height, which the style sheet decides.

class Grid {
  /**
   * box: the element that scrolls. draw(index): makes the element of a row. height(): pixels of a row.
   * onMove(index), onEnter(index), onKey(event, index): what the keyboard does; all are optional.
   */
  constructor(box, { draw, height, onMove, onEnter, onKey, empty }) {
    Object.assign(this, { box, draw, height, onMove, onEnter, onKey, empty });
    this.count = 0;
    this.at = -1;
    this.rows = new Map();
    this.space = h("div", { "aria-hidden": "true" });
    box.append(this.space);
    this.waiting = false;
    box.addEventListener("scroll", () => this.soon(), { passive: true });
    box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.refresh()).observe(box);
  }

  setCount(count) {
    this.count = count;
    this.at = Math.min(this.at, count - 1);
    this.box.setAttribute("aria-rowcount", count);
    this.refresh();
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  /** Draw all rows anew, since what they show has changed. */
  refresh() {
    if (this.printed?.length) return;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.note?.remove();
    this.size = this.height();
    this.space.style.height = this.count * this.size + "px";
    if (!this.count && this.empty) this.box.append((this.note = h("p", { class: "empty" }, this.empty())));
    this.paint();
  }

  paint() {
    if (this.printed?.length) return;
    const view = this.box.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.size) - 8);
    const last = Math.min(this.count, Math.ceil((this.box.scrollTop + view) / this.size) + 8);
    for (const [index, row] of this.rows) {
      if (index < first || index >= last) {
        row.remove();
        this.rows.delete(index);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let index = first; index < last; index++) {
      if (this.rows.has(index)) continue;
      const row = this.draw(index);
      row.style.transform = `translateY(${index * this.size}px)`;
      row.id = `${this.box.id}-${index}`;
      row.setAttribute("aria-rowindex", index + 1);
      row.classList.toggle("at", index === this.at);
      this.rows.set(index, row);
      fresh.append(row);
    }
    this.box.append(fresh);
    this.point();
  }

  point() {
    if (this.at >= 0 && this.rows.has(this.at)) this.box.setAttribute("aria-activedescendant", `${this.box.id}-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  /** Make a row the current one and bring it into sight. */
  move(index, centre = false) {
    if (!this.count) return;
    this.rows.get(this.at)?.classList.remove("at");
    this.at = Math.max(0, Math.min(this.count - 1, index));
    const top = this.at * this.size;
    const view = this.box.clientHeight;
    if (centre) this.box.scrollTop = top - view / 2;
    else if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.size > this.box.scrollTop + view) this.box.scrollTop = top + this.size - view;
    this.paint();
    this.rows.get(this.at)?.classList.add("at");
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.box) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.size) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    if (event.key in steps) {
      this.move(this.at < 0 ? 0 : this.at + steps[event.key]);
      this.onMove?.(this.at);
    } else if ((event.key === "Enter" || event.key === " ") && this.at >= 0) {
      this.onEnter?.(this.at);
    } else if (!this.onKey?.(event, this.at)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Put the first rows one below the other, for paper. */
  print(limit) {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.space.style.height = "0";
    this.printed = [];
    for (let index = 0; index < Math.min(limit, this.count); index++) {
      const row = this.draw(index);
      row.classList.add("printed");
      this.printed.push(row);
    }
    if (this.count > limit) this.printed.push(h("p", { class: "empty" }, `The first ${whole(limit)} of ${whole(this.count)}.`));
    this.box.append(...this.printed);
  }

  unprint() {
    for (const row of this.printed ?? []) row.remove();
    this.printed = [];
    this.refresh();
  }
}

/** Read a length of the style sheet in pixels. */
const pixels = (name) => parseFloat(getComputedStyle(document.documentElement).getPropertyValue(name)) || 28;
