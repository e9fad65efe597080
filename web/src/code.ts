// A request as curl, a Worker, JavaScript and Python.
import { add, button, h } from "./dom";

export interface Snippet {
  path: string;                   // of the request, for curl
  body?: Record<string, unknown>; // JSON …
  file?: string;                  // … or the bytes of a file
  model: string;
  inputs: string;                 // of env.AI.run(), as JavaScript
  javascript: string;
  python: string;
}

const shell = (text: string) => "'" + text.replaceAll("'", "'\\''") + "'";
export const pretty = (value: unknown) => JSON.stringify(value, null, 2);

// JSON as a Python literal; words inside strings stay as they are.
export function pythonLiteral(value: unknown, indent = ""): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = indent + "    ";
  if (Array.isArray(value)) return value.length ? `[\n${value.map((one) => deeper + pythonLiteral(one, deeper)).join(",\n")}\n${indent}]` : "[]";
  const entries = Object.entries(value);
  return entries.length ? `{\n${entries.map(([key, one]) => `${deeper}${JSON.stringify(key)}: ${pythonLiteral(one, deeper)}`).join(",\n")}\n${indent}}` : "{}";
}

function curl(snippet: Snippet, token: boolean): string {
  const lines = [`curl ${snippet.body?.stream ? "-N " : ""}${shell(location.origin + snippet.path)}`];
  if (token) lines.push(`-H "authorization: Bearer $VERGE_TOKEN"`);
  if (snippet.body) lines.push("-H 'content-type: application/json'", "-d " + shell(pretty(snippet.body)));
  if (snippet.file) lines.push("-H 'content-type: application/octet-stream'", "--data-binary @" + shell(snippet.file));
  return lines.join(" \\\n  ");
}

const worker = (snippet: Snippet) => `export default {
  async fetch(request, env) {
    const result = await env.AI.run(${JSON.stringify(snippet.model)}, ${snippet.inputs.replaceAll("\n", "\n    ")});
    return ${snippet.body?.stream ? `new Response(result, { headers: { "content-type": "text/event-stream" } })` : "Response.json(result)"};
  },
};`;

// A closed panel with a tab for each language. `current` gives the request as it would be sent now.
export function codePanel(current: () => Snippet | null, hasToken: () => boolean): HTMLElement {
  const languages: [string, (snippet: Snippet) => string][] = [
    ["curl", (snippet) => curl(snippet, hasToken())],
    ["Worker", worker],
    ["JavaScript", (snippet) => snippet.javascript],
    ["Python", (snippet) => snippet.python],
  ];
  let chosen = 0;
  const text = h("pre", { tabindex: "0", "aria-label": "Code" });
  const show = () => {
    const snippet = current();
    text.textContent = snippet ? languages[chosen][1](snippet) : "Choose a model first.";
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-pressed", String(index === chosen));
    });
  };
  const tabs = languages.map(([name], index) => button(name, () => { chosen = index; show(); }, { class: "tab" }));
  const copy = button("Copy", async () => {
    await navigator.clipboard?.writeText(text.textContent ?? "");
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  const panel = h("details", { class: "code", ontoggle: () => { if (panel.open) show(); } },
    h("summary", {}, "This request as code"), h("div", { class: "row", role: "group", "aria-label": "Language" }, tabs, h("span", { class: "grow" }), copy), text);
  // What is typed elsewhere changes the code.
  panel.addEventListener("verge-refresh", () => { if (panel.open) show(); });
  return panel;
}

export const refresh = (panel: HTMLElement) => panel.dispatchEvent(new Event("verge-refresh"));

export function rawResult(result: unknown): HTMLElement {
  const pre = h("pre", { tabindex: "0", "aria-label": "Answer as JSON" });
  add(pre, [pretty(result)]);
  return h("details", {}, h("summary", {}, "The answer as JSON"), pre);
}
