// Elements without innerHTML: text stays text, and nothing inline that the page's policy would refuse.
export type Child = Node | string | number | null | undefined | false | Child[];
type Handler = (event: any) => void;
export type Attributes = Record<string, string | number | boolean | null | undefined | Handler | Record<string, string>>;

function fill(element: Element, attributes: Attributes, children: Child[]) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (typeof value === "object") Object.assign((element as HTMLElement).style, value);
    else if (name === "value" && !(element instanceof HTMLMeterElement)) (element as HTMLInputElement).value = String(value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
}

export function add(parent: Element, children: Child[]) {
  for (const child of children) {
    if (Array.isArray(child)) add(parent, child);
    else if (child instanceof Node) parent.append(child);
    else if (child !== null && child !== undefined && child !== false) parent.append(String(child));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  // A select has its options only now.
  if (tag === "select" && attributes.value !== undefined) (element as HTMLSelectElement).value = String(attributes.value);
  return element;
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

export function replace(parent: Element, ...children: Child[]) {
  parent.replaceChildren();
  add(parent, children);
}

let serial = 0;
export const freshId = (prefix: string) => `${prefix}-${++serial}`;

// A labelled control: the label is for it, and a hint describes it.
export function field(label: string, control: HTMLElement, hint?: string): HTMLElement {
  control.id ||= freshId("field");
  const hintId = control.id + "-hint";
  if (hint) control.setAttribute("aria-describedby", hintId);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, hint ? h("p", { class: "hint", id: hintId }, hint) : null);
}

export const button = (label: string, onclick: Handler, attributes: Attributes = {}) => h("button", { type: "button", onclick, ...attributes }, label);

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; ++unit) count /= 1024;
  return `${count.toFixed(unit && count < 100 ? 1 : 0)} ${units[unit]}`;
}

// A table with a caption; numbers are set to the right.
export function table(caption: string, columns: string[], rows: Child[][]): HTMLElement {
  const cell = (child: Child, index: number) =>
    index === 0 ? h("th", { scope: "row" }, child) : h("td", { class: typeof child === "number" ? "number" : "" }, child);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell))))));
}

// Tells a screen reader something, politely, without moving the focus.
export function announce(text: string) {
  const region = document.getElementById("announcements");
  if (region) region.textContent = text;
}
