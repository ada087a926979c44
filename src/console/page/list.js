// A list of any length, of which only what can be seen is in the document.

import { fill, h } from "./dom.js";

/** How many rows are there beyond either edge. */
const BEYOND = 8;

export class WindowedList {
  /** `row(item)` is what a row shows, `href(item)` where it leads. */
  constructor({ label, row, href, key, empty }) {
    Object.assign(this, { row, href, key, empty });
    this.items = [];
    this.current = -1;
    this.rows = h("ol", { class: "rows" });
    this.element = h("div", { class: "scroller", role: "region", "aria-label": label, tabindex: "0", scroll: () => this.draw() }, this.rows);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.element);
  }

  /** Shows other items; what is looked at stays where it is. */
  set(items) {
    const old = this.items[this.current];
    const top = this.element.scrollTop > 0 ? this.items[this.first()] : undefined;
    this.items = items;
    if (old) this.current = items.findIndex((item) => this.key(item) === this.key(old));
    if (top) {
      const at = items.findIndex((item) => this.key(item) === this.key(top));
      if (at >= 0) this.element.scrollTop = at * this.height() + (this.element.scrollTop % this.height());
    }
    this.draw();
  }

  height() {
    return parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 36;
  }

  first() {
    return Math.floor(this.element.scrollTop / this.height());
  }

  draw() {
    if (this.items.length === 0) {
      this.rows.style.height = "0";
      this.rows.replaceChildren();
      const nothing = h("div", { class: "empty" }, this.empty());
      // The same words stay, with whatever has the focus in them.
      if (this.nothing?.textContent === nothing.textContent) return;
      this.nothing?.remove();
      this.element.append((this.nothing = nothing));
      return;
    }
    this.nothing?.remove();
    this.nothing = null;
    const height = this.height();
    const from = Math.max(0, this.first() - BEYOND);
    const to = Math.min(this.items.length, from + Math.ceil(this.element.clientHeight / height) + 2 * BEYOND);
    const focused = document.activeElement?.closest?.(".rows li")?.dataset.key;
    this.rows.style.height = `${this.items.length * height}px`;
    fill(this.rows, this.items.slice(from, to).map((item, at) => this.li(item, from + at, height)));
    if (focused) this.rows.querySelector(`li[data-key="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
  }

  li(item, at, height) {
    let content;
    let href;
    try {
      content = this.row(item);
      href = this.href(item);
    } catch {
      content = h("span", { class: "faint" }, "This record cannot be shown");
    }
    const link = h("a", { href, class: "row", "aria-current": at === this.current && "true" }, content);
    const element = h("li", { "aria-setsize": this.items.length, "aria-posinset": at + 1, "data-key": this.key(item) }, link);
    element.style.top = `${at * height}px`;
    return element;
  }

  /** Makes another row the current one. */
  move(by) {
    if (this.items.length === 0) return;
    this.current = Math.max(0, Math.min(this.items.length - 1, this.current + by));
    const height = this.height();
    const { scrollTop, clientHeight } = this.element;
    const top = this.current * height;
    if (top < scrollTop) this.element.scrollTop = top;
    if (top + height > scrollTop + clientHeight) this.element.scrollTop = top + height - clientHeight;
    this.draw();
    this.rows.querySelector("[aria-current]")?.focus({ preventScroll: true });
  }

  get item() {
    return this.items[this.current];
  }
}
