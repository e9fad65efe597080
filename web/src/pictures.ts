// Pictures: labels, or boxes drawn over what was found.
import { ask, runPath, settings } from "./api";
import { codePanel, rawResult, refresh, Snippet } from "./code";
import { announce, button, h, replace, svg, table } from "./dom";
import { answeredBy, dropZone, errorBox, ModelPicker, onPaste } from "./parts";

interface Found { label: string; score: number; box?: { xmin: number; ymin: number; xmax: number; ymax: number } }

const percent = (score: number) => (score * 100).toFixed(1) + " %";

// Boxes are in pixels of the picture as it stands upright.
function boxes(found: Found[], width: number, height: number): SVGElement {
  const size = Math.max(width, height) / 40;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "boxes", role: "img", "aria-label": found.map((one) => one.label).join(", ") },
    found.filter((one) => one.box).map((one) => {
      const { xmin, ymin, xmax, ymax } = one.box!;
      return svg("g", {}, svg("rect", { x: xmin, y: ymin, width: xmax - xmin, height: ymax - ymin, "stroke-width": size / 6 }),
        svg("text", { x: xmin + size / 4, y: Math.max(ymin, size) - size / 4, "font-size": size }, `${one.label} ${percent(one.score)}`));
    }));
}

export function picturesPage(): HTMLElement {
  let file: File | null = null, shown = "";
  const picker = new ModelPicker("pictures", ["Image Classification", "Object Detection"], () => { refresh(code); if (file) look(); });
  const view = h("div", { class: "picture" });
  const result = h("div", { "aria-live": "polite" });
  const snippet = (): Snippet | null => {
    if (!picker.model) return null;
    const path = runPath(picker.model.name), name = file?.name || "picture.jpg";
    const bearer = settings.token ? { js: ", authorization: `Bearer ${process.env.VERGE_TOKEN}`", py: `, "authorization": f"Bearer {os.environ['VERGE_TOKEN']}"` } : { js: "", py: "" };
    return {
      path, file: name, model: picker.model.name, inputs: "{ image: [...new Uint8Array(await request.arrayBuffer())] }",
      javascript: `import { readFile } from "node:fs/promises";
const answer = await fetch("${location.origin}${path}", {
  method: "POST",
  headers: { "content-type": "application/octet-stream"${bearer.js} },
  body: await readFile(${JSON.stringify(name)}),
});
console.log((await answer.json()).result);`,
      python: `import json${bearer.py ? ", os" : ""}, urllib.request
with open(${JSON.stringify(name)}, "rb") as picture:
    request = urllib.request.Request("${location.origin}${path}", picture.read(),
                                     {"content-type": "application/octet-stream"${bearer.py}})
print(json.load(urllib.request.urlopen(request))["result"])`,
    };
  };
  const code = codePanel(snippet, () => !!settings.token);

  async function look() {
    if (!file || !picker.model) return;
    if (shown) URL.revokeObjectURL(shown);
    shown = URL.createObjectURL(file);
    const image = h("img", { src: shown, alt: file.name || "The picture that you gave" });
    replace(view, image);
    replace(result, h("p", { class: "hint" }, "The model looks at it …"));
    refresh(code);
    const started = performance.now();
    try {
      const model = picker.model.name;
      const answer = await ask(() => runPath(model), { method: "POST", body: file, headers: { "content-type": "application/octet-stream" } });
      const found = (await answer.json()).result as Found[];
      await image.decode().catch(() => {});
      if (found.some((one) => one.box)) view.append(boxes(found, image.naturalWidth, image.naturalHeight));
      replace(result, found.length
        ? table("What the model found", ["Label", "Score", "As a bar"], found.map((one) => [one.label, percent(one.score), h("meter", { min: 0, max: 1, value: one.score, "aria-label": one.label })]))
        : h("p", {}, "The model found nothing with a score above its threshold."),
        h("p", { class: "hint" }, `${Math.round(performance.now() - started)} ms · ${answeredBy(answer)}`), rawResult(found));
      announce(found.length ? `Found: ${found.map((one) => one.label).join(", ")}` : "Nothing found");
    } catch (failure) {
      replace(result, errorBox(failure));
    }
  }
  const take = (one: File) => { file = one; look(); };
  const camera = h("input", { type: "file", accept: "image/*", capture: "environment", class: "hidden-input", "aria-label": "Photograph something",
    onchange: () => { if (camera.files?.[0]) take(camera.files[0]); } });
  const page = h("div", { class: "narrow" }, picker.element,
    dropZone("a picture", "image/*", take, [button("Photograph", () => camera.click()), camera]),
    h("p", { class: "hint" }, "You can paste a picture, too. It goes to this server and nowhere else."), view, result, code);
  onPaste(page, "image/", take);
  return page;
}
