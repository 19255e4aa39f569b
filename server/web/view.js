// The transcript on the page: one list item for each turn, and a view that follows the newest.

const WHO = { user: "You", agent: "Agent", tool: "" };
const NEAR = 48; // pixels from the end that still count as being at the end

export class TranscriptView {
  constructor(list, scroller) {
    this.list = list;
    this.scroller = scroller;
    this.items = new Map(); // turn -> li
    this.following = true; // who has scrolled back to read is left alone
    scroller.addEventListener("scroll", () => (this.following = this.atEnd()));
    new ResizeObserver(() => this.follow()).observe(scroller); // a phone turned, or its keyboard out
  }

  /** Bring the page in line with `turns`, of which only `turn` has changed. */
  show(turns, turn) {
    const at = turns.indexOf(turn);
    if (at < 0) this.remove(turn);
    else this.fill(this.items.get(turn) ?? this.add(turn, at), turn);
    for (const [old] of this.items) {
      if (this.items.size <= turns.length) break;
      if (!turns.includes(old)) this.remove(old);
    }
    this.follow();
  }

  follow() {
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  add(turn, at) {
    const item = document.createElement("li");
    item.dataset.role = turn.role;
    item.dataset.itemId = turn.itemId;
    item.append(element("span", "who", WHO[turn.role]), element("p", "said", ""));
    this.list.insertBefore(item, this.list.children[at] ?? null);
    this.items.set(turn, item);
    return item;
  }

  fill(item, { text, final, cut, heardMs }) {
    item.querySelector(".said").textContent = text || "…";
    item.ariaBusy = String(!final); // lets a screen reader wait for the whole
    if (!cut) return;
    const mark = item.querySelector(".cut") ?? item.appendChild(element("span", "cut", ""));
    const after = Number.isFinite(heardMs) ? ` after ${(heardMs / 1000).toFixed(1)} s` : "";
    mark.textContent = `interrupted${after}`;
  }

  remove(turn) {
    this.items.get(turn)?.remove();
    this.items.delete(turn);
  }

  clear() {
    this.list.replaceChildren();
    this.items.clear();
    this.following = true;
  }
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
