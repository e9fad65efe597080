// What several pages have: the choice of a model, an error, a file that is dropped, pasted or chosen.
import { ApiError, Model, models } from "./api";
import { add, button, field, h, replace } from "./dom";

// What to do about an error, by its published code.
const advice: Record<string, string> = {
  "3036": "The account's neurons of today are used up. They come back at 00:00 UTC.",
  "3040": "The server is busy, or the account asks too often. Try again in a moment.",
  "3042": "The model's weights are not on this server: fetch them with `verge pull`.",
  "3046": "The answer took too long. Try again, or ask for less.",
  "3006": "The body is larger than the server takes.",
  "5001": "The model could not be loaded or its process ended. The server's log says why.",
  "5007": "No model has this name. Choose one from the list.",
  "5021": "Prompt and answer do not fit the model's context. Shorten the prompt, or lower “Most tokens”.",
  "10000": "Give a token that may do this: “Token” at the top of the page.",
};

export function errorBox(failure: unknown): HTMLElement {
  const error = failure instanceof ApiError ? failure : null;
  const code = error?.code ?? null;
  const facts = [
    error?.status ? `HTTP ${error.status}` : null,
    code !== null ? `code ${code}` : null,
    error?.retryAfter ? `try again in ${error.retryAfter} s` : null,
    error?.request ? `request ${error.request}` : null,
  ].filter(Boolean).join(" · ");
  return h("div", { class: "error", role: "alert" },
    h("strong", {}, failure instanceof Error ? failure.message : String(failure)),
    code !== null && advice[String(code)] ? h("p", {}, advice[String(code)]) : null,
    facts ? h("p", { class: "hint" }, facts, code !== null && /^\d+$/.test(String(code))
      ? [" · ", h("a", { href: `/verge/docs/errors.html#${code}` }, "about this code")] : null) : null);
}

export const property = (model: Model, id: string) => model.properties.find((one) => one.property_id === id)?.value;

// A select with the models of some tasks. `changed` is called once they are there, and with each choice.
export class ModelPicker {
  readonly select = h("select", { onchange: () => this.choose() });
  readonly element: HTMLElement;
  model: Model | null = null;
  private list: Model[] = [];

  constructor(private readonly key: string, private readonly tasks: string[], private readonly changed: (model: Model | null) => void) {
    this.element = field("Model", this.select);
    this.load();
  }

  async load() {
    replace(this.select, h("option", { value: "" }, "Loading the list …"));
    this.element.querySelector(".error")?.remove();
    try {
      this.list = (await models()).filter((model) => this.tasks.includes(model.task.name));
    } catch (failure) {
      replace(this.select, h("option", { value: "" }, "No list"));
      this.element.append(errorBox(failure));
      return;
    }
    if (!this.list.length) {
      replace(this.select, h("option", { value: "" }, "None on this server"));
      add(this.element, [h("p", { class: "hint" }, `No model for this task is on this server. \`verge pull ID\` fetches one; `,
        h("a", { href: "/verge/docs/own-model.html" }, "a model of your own"), " is served with --model.")]);
      this.changed(null);
      return;
    }
    replace(this.select, this.list.map((model) => h("option", { value: model.name }, model.name)));
    const last = localStorage.getItem("verge-model-" + this.key);
    const preferred = this.list.find((model) => model.name === last) ?? this.list.find((model) => /instruct|chat|-it\b/.test(model.name)) ?? this.list[0];
    this.select.value = preferred.name;
    this.choose();
  }

  private choose() {
    this.model = this.list.find((model) => model.name === this.select.value) ?? null;
    if (this.model) localStorage.setItem("verge-model-" + this.key, this.model.name);
    this.changed(this.model);
  }
}

// A place to drop, paste or choose a file.
export function dropZone(what: string, accept: string, take: (file: File) => void, more: HTMLElement[] = []): HTMLElement {
  const input = h("input", { type: "file", accept, class: "hidden-input", "aria-label": `Choose ${what}`, onchange: () => {
    if (input.files?.[0]) take(input.files[0]);
    input.value = "";
  } });
  const zone = h("div", { class: "drop", ondragover: (event: DragEvent) => { event.preventDefault(); zone.classList.add("over"); },
    ondragleave: () => zone.classList.remove("over"),
    ondrop: (event: DragEvent) => {
      event.preventDefault();
      zone.classList.remove("over");
      const file = event.dataTransfer?.files[0];
      if (file) take(file);
    } },
    h("p", {}, `Drop ${what} here, or`), h("div", { class: "row center" }, button("Choose a file", () => input.click()), more), input);
  return zone;
}

export function onPaste(element: HTMLElement, type: string, take: (file: File) => void) {
  const listen = (event: ClipboardEvent) => {
    if (!element.isConnected) return document.removeEventListener("paste", listen);
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith(type));
    if (file) { event.preventDefault(); take(file); }
  };
  document.addEventListener("paste", listen);
}

// "verge-node" and the model that answered, of an answer's headers.
export function answeredBy(answer: Response): string {
  const model = answer.headers.get("verge-model"), node = answer.headers.get("verge-node");
  const stand = answer.headers.get("verge-substituted") ? " (a stand-in)" : "";
  return [model ? model + stand : null, node ? `node ${node}` : null].filter(Boolean).join(" · ");
}
