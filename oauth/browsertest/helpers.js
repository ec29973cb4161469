// Functions that run in a page; each call brings them along, so that none stays behind.

// all gives the elements that match, in open shadow roots too, in the order of the document.
function all(css, root = document) {
  const found = [];
  for (const e of root.querySelectorAll("*")) {
    if (e.matches(css)) found.push(e);
    if (e.shadowRoot) found.push(...all(css, e.shadowRoot));
  }
  return found;
}

// one gives the first that can be seen, else throws.
function one(css) {
  const found = all(css);
  if (!found.length) throw "nothing matches";
  const seen = found.find(visible);
  if (!seen) throw "nothing that matches can be seen";
  return seen;
}

function visible(e) {
  return e.getClientRects().length > 0 && e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
}

// place scrolls to an element and gives its middle, if that is where a click would reach it.
function place(css) {
  const e = one(css);
  if (e.disabled) throw "it is disabled";
  e.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
  const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2;
  let top = document.elementFromPoint(x, y);
  while (top?.shadowRoot?.elementFromPoint(x, y) && top.shadowRoot.elementFromPoint(x, y) !== top) top = top.shadowRoot.elementFromPoint(x, y);
  if (!top || !(e.contains(top) || top.contains(e) || top.closest("label")?.control === e)) throw "it is covered by " + (top ? name(top) : "nothing");
  return { X: x, Y: y };
}

function select(css) {
  const e = one(css);
  if (e.disabled || e.readOnly) throw "it cannot be written into";
  e.focus();
  e.select?.();
}

// text is what a reader sees of it.
function text(css) {
  return one(css).innerText.trim();
}

// name says which element it is: tag, id, and the words a reader sees on or beside it.
function name(e) {
  const id = e.id ? "#" + e.id : "";
  const kind = e.tagName === "INPUT" ? "[" + e.type + "]" : "";
  const words = e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText || e.value || e.title || "";
  const line = words.replace(/\s+/g, " ").trim();
  return e.tagName.toLowerCase() + id + kind + (line && e !== document.body ? ' "' + (line.length > 60 ? line.slice(0, 60) + "…" : line) + '"' : "");
}

// focused names the element that has the focus; body if none has.
function focused() {
  let e = document.activeElement ?? document.body;
  while (e.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  return name(e);
}
