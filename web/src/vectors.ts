// Texts: how close they are (a heat map, a plot), or which class they have.
import { ask, post, runPath, settings } from "./api";
import { codePanel, pretty, pythonLiteral, rawResult, refresh, Snippet } from "./code";
import { announce, button, field, h, replace, svg, table } from "./dom";
import { answeredBy, errorBox, ModelPicker } from "./parts";

const sample = ["A cat sleeps on the sofa.", "The kitten naps on the couch.", "Stock markets fell sharply today.", "Shares lost value this morning.", "How do I bake bread?"].join("\n");

const dot = (a: number[], b: number[]) => a.reduce((sum, value, index) => sum + value * b[index], 0);
export const cosine = (a: number[], b: number[]) => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);

// Principal components of a few vectors, by the power method on their Gram matrix: coordinates on two axes.
export function plane(vectors: number[][]): [number, number][] {
  const count = vectors.length, width = vectors[0].length;
  const mean = Array.from({ length: width }, (_, i) => vectors.reduce((sum, vector) => sum + vector[i], 0) / count);
  const centred = vectors.map((vector) => vector.map((value, i) => value - mean[i]));
  const gram = centred.map((a) => centred.map((b) => dot(a, b)));
  const axes: number[][] = [];
  for (let axis = 0; axis < 2; ++axis) {
    let v = Array.from({ length: count }, (_, i) => Math.sin(i * 2.3 + axis + 1));
    let value = 0;
    for (let step = 0; step < 200; ++step) {
      v = gram.map((row) => dot(row, v));
      value = Math.sqrt(dot(v, v));
      if (value < 1e-12) break;
      v = v.map((one) => one / value);
    }
    axes.push(v.map((one) => one * Math.sqrt(value)));
    gram.forEach((row, i) => row.forEach((_, j) => { row[j] -= value * v[i] * v[j]; }));
  }
  return vectors.map((_, i) => [axes[0][i], axes[1][i]]);
}

const short = (text: string, most: number) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function heatMap(texts: string[], vectors: number[][]): HTMLElement {
  const rows = vectors.map((a, i) => h("tr", {}, h("th", { scope: "row" }, `${i + 1}. ${short(texts[i], 24)}`), vectors.map((b) => {
    const value = cosine(a, b), share = Math.max(0, Math.min(1, value));
    return h("td", { class: "heat", style: { backgroundColor: `color-mix(in srgb, var(--accent) ${Math.round(share * 45)}%, var(--panel))` } }, value.toFixed(2));
  })));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Similarities" },
    h("table", {}, h("caption", {}, "Cosine of each pair: 1 is the same direction"),
      h("thead", {}, h("tr", {}, h("td", {}), texts.map((_, i) => h("th", { scope: "col" }, i + 1)))), h("tbody", {}, rows)));
}

// Labels of near points would cover each other: each keeps a line's height from those before it.
function spread(heights: number[], gap: number): number[] {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]), out = [...heights];
  order.forEach((i, rank) => { if (rank) out[i] = Math.max(out[i], out[order[rank - 1]] + gap); });
  return out;
}

function plot(texts: string[], vectors: number[][]): HTMLElement {
  const points = plane(vectors), most = Math.max(1e-9, ...points.flat().map(Math.abs));
  const x = points.map((one) => (one[0] / most) * 85), y = points.map((one) => (-one[1] / most) * 55);
  const lines = spread(y, 6);
  const label = "The texts on a plane: near ones are alike";
  return h("figure", {}, svg("svg", { viewBox: "-130 -70 260 140", class: "plane", role: "img", "aria-label": label },
    svg("line", { x1: -125, x2: 125, y1: 0, y2: 0 }), svg("line", { x1: 0, x2: 0, y1: -65, y2: 65 }),
    points.map((_, i) => svg("g", {}, svg("circle", { cx: x[i], cy: y[i], r: 2.5 }),
      svg("text", { x: x[i] + (x[i] > 40 ? -4 : 4), y: lines[i] + 2, "font-size": 5, "text-anchor": x[i] > 40 ? "end" : "start" }, `${i + 1}. ${short(texts[i], 22)}`)))),
    h("figcaption", {}, label + " (first two principal components)"));
}

export function textsPage(): HTMLElement {
  const picker = new ModelPicker("texts", ["Text Embeddings", "Text Classification"], () => { refresh(code); });
  const area = h("textarea", { rows: 7, oninput: () => refresh(code) });
  area.value = sample;
  const result = h("div", { "aria-live": "polite" });
  const texts = () => area.value.split("\n").map((line) => line.trim()).filter(Boolean);
  const classifies = () => picker.model?.task.name === "Text Classification";
  const snippet = (): Snippet | null => {
    if (!picker.model) return null;
    const model = picker.model.name, list = texts();
    const key = settings.token ? { js: "process.env.VERGE_TOKEN", py: `os.environ["VERGE_TOKEN"]` } : { js: `"none"`, py: `"none"` };
    const inputs = { text: classifies() ? list[0] ?? "" : list };
    const path = runPath(model);
    if (classifies()) return { path, body: inputs, model, inputs: pretty(inputs),
      javascript: `import Cloudflare from "cloudflare";
const client = new Cloudflare({ apiToken: ${key.js}, baseURL: "${location.origin}/client/v4" });
console.log(await client.ai.run(${JSON.stringify(model)}, { account_id: "${settings.account}", ...${pretty(inputs)} }));`,
      python: `${settings.token ? "import os\n" : ""}from cloudflare import Cloudflare
client = Cloudflare(api_token=${key.py}, base_url="${location.origin}/client/v4")
print(client.ai.run(${JSON.stringify(model)}, account_id="${settings.account}", **${pythonLiteral(inputs)}))` };
    return { path: "/v1/embeddings", body: { model, input: list }, model, inputs: pretty(inputs),
      javascript: `import OpenAI from "openai";
const client = new OpenAI({ baseURL: "${location.origin}/v1", apiKey: ${key.js} });
const answer = await client.embeddings.create(${pretty({ model, input: list })});
console.log(answer.data.map((one) => one.embedding));`,
      python: `${settings.token ? "import os\n" : ""}from openai import OpenAI
client = OpenAI(base_url="${location.origin}/v1", api_key=${key.py})
answer = client.embeddings.create(**${pythonLiteral({ model, input: list })})
print([one.embedding for one in answer.data])` };
  };
  const code = codePanel(snippet, () => !!settings.token);
  async function compare() {
    const list = texts();
    if (!picker.model || !list.length) return;
    const model = picker.model.name, started = performance.now();
    replace(result, h("p", { class: "hint" }, "The model reads …"));
    try {
      if (classifies()) {
        const rows = [];
        for (const text of list) {
          const found = (await (await post(() => runPath(model), { text })).json()).result as { label: string; score: number }[];
          rows.push([text, found[0]?.label ?? "", found[0] ? (found[0].score * 100).toFixed(1) + " %" : ""]);
        }
        replace(result, table("Classes", ["Text", "Class", "Score"], rows));
      } else {
        const answer = await ask("/v1/embeddings", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ model, input: list }) });
        const body = await answer.json();
        const vectors = (body.data as { embedding: number[] }[]).map((one) => one.embedding);
        replace(result, heatMap(list, vectors), list.length > 2 ? plot(list, vectors) : null,
          h("p", { class: "hint" }, `${Math.round(performance.now() - started)} ms · ${vectors[0].length} numbers a text · ${body.usage?.prompt_tokens ?? 0} tokens · ${answeredBy(answer)}`),
          rawResult({ ...body, data: body.data.map((one: any) => ({ ...one, embedding: [...one.embedding.slice(0, 4), "…"] })) }));
      }
      announce("Done.");
    } catch (failure) {
      replace(result, errorBox(failure));
    }
  }
  return h("div", { class: "narrow" }, picker.element, field("Texts, one a line", area),
    h("div", { class: "row" }, button("Compare", compare, { class: "primary" })), result, code);
}
