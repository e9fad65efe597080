// Chat: streaming, stop, regenerate, edit, a system prompt, parameters, JSON schemas and functions.
import { events, post, settings } from "./api";
import { codePanel, pretty, pythonLiteral, refresh, Snippet } from "./code";
import { announce, button, field, h, replace } from "./dom";
import { answeredBy, errorBox, ModelPicker } from "./parts";

interface Call { id: string; type: "function"; function: { name: string; arguments: string } }
interface Turn {
  role: "user" | "assistant" | "tool";
  content: string;
  reasoning?: string;
  calls?: Call[];
  call?: Call;        // of a tool's result
  facts?: string;     // how fast it was
  failure?: unknown;
}

const examples = {
  schema: pretty({ type: "object", properties: { city: { type: "string" }, population: { type: "integer" } }, required: ["city", "population"] }),
  tools: pretty([{ type: "function", function: { name: "get_weather", description: "The weather in a city", parameters: {
    type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }]),
};

const numbers: [name: string, label: string, attributes: Record<string, string>, hint?: string][] = [
  ["max_tokens", "Most tokens", { min: "1", step: "1", placeholder: "default" }],
  ["temperature", "Temperature", { min: "0", max: "2", step: "0.1", placeholder: "default" }, "0 always takes the likeliest token."],
  ["top_p", "Top P", { min: "0", max: "1", step: "0.05", placeholder: "1" }],
  ["top_k", "Top K", { min: "-1", step: "1", placeholder: "off" }],
  ["frequency_penalty", "Frequency penalty", { min: "-2", max: "2", step: "0.1", placeholder: "0" }],
  ["presence_penalty", "Presence penalty", { min: "-2", max: "2", step: "0.1", placeholder: "0" }],
  ["seed", "Seed", { step: "1", placeholder: "drawn" }, "The same seed gives the same answer."],
];

// Text with ``` fences as paragraphs and code.
function formatted(text: string): HTMLElement[] {
  return text.split(/```/).map((piece, index) => index % 2
    ? h("pre", { tabindex: "0", "aria-label": "Code in the answer" }, piece.replace(/^[\w+-]*\n/, ""))
    : h("div", { class: "text" }, piece));
}

export function chatPage(): HTMLElement {
  let turns: Turn[] = [];
  let stopper: AbortController | null = null;

  const picker = new ModelPicker("chat", ["Text Generation"], () => { update(); });
  const system = h("textarea", { rows: 3, oninput: () => refresh(code), placeholder: "You are a helpful assistant." });
  const inputs = new Map(numbers.map(([name, , attributes]) => [name, h("input", { type: "number", ...attributes, oninput: () => refresh(code) })]));
  const form = h("select", { onchange: () => { schemaField.hidden = form.value !== "json_schema"; refresh(code); } },
    h("option", { value: "text" }, "Text"), h("option", { value: "json_object" }, "Any JSON object"), h("option", { value: "json_schema" }, "JSON by a schema"));
  const schema = h("textarea", { rows: 8, class: "mono", spellcheck: "false", oninput: () => refresh(code) });
  schema.value = examples.schema;
  const schemaField = field("JSON Schema", schema, "The answer meets it exactly.");
  schemaField.hidden = true;
  const tools = h("textarea", { rows: 6, class: "mono", spellcheck: "false", oninput: () => refresh(code), placeholder: "none" });
  const choice = h("select", { onchange: () => refresh(code) }, ["auto", "required", "none"].map((value) => h("option", { value }, value)));

  const log = h("div", { class: "log", role: "log", "aria-label": "Conversation", "aria-live": "off", tabindex: "0" });
  const entry = h("textarea", { rows: 3, "aria-label": "Message", placeholder: "Write a message. Enter sends it, Shift+Enter starts a line.",
    oninput: () => refresh(code),
    onkeydown: (event: KeyboardEvent) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); } } });
  const go = button("Send", () => (stopper ? stopper.abort() : send()), { class: "primary" });
  const problem = h("div", {});
  const code = codePanel(snippet, () => !!settings.token);

  function history() {
    const messages: Record<string, unknown>[] = system.value.trim() ? [{ role: "system", content: system.value }] : [];
    for (const turn of turns) {
      if (turn.failure && !turn.content) continue;
      if (turn.role === "tool") messages.push({ role: "tool", tool_call_id: turn.call!.id, content: turn.content });
      else messages.push({ role: turn.role, content: turn.calls?.length && !turn.content ? null : turn.content, ...(turn.calls?.length ? { tool_calls: turn.calls } : {}) });
    }
    return messages;
  }

  // Throws where a field does not hold what it should.
  function request(): Record<string, unknown> {
    const body: Record<string, unknown> = { model: picker.model?.name ?? "", messages: history(), stream: true };
    for (const [name, input] of inputs) if (input.value !== "") body[name] = Number(input.value);
    const parse = (what: string, text: string) => {
      try { return JSON.parse(text); } catch (wrong) { throw new Error(`“${what}” is not JSON: ${(wrong as Error).message}`); }
    };
    if (form.value === "json_object") body.response_format = { type: "json_object" };
    if (form.value === "json_schema")
      body.response_format = { type: "json_schema", json_schema: { name: "answer", schema: parse("JSON Schema", schema.value) } };
    if (tools.value.trim()) {
      body.tools = parse("Functions", tools.value);
      if (choice.value !== "auto") body.tool_choice = choice.value;
    }
    return body;
  }

  function snippet(): Snippet | null {
    if (!picker.model) return null;
    let body: Record<string, unknown>;
    try { body = request(); } catch { body = { model: picker.model.name, messages: history(), stream: true }; }
    // What was sent last, or what would be sent now.
    const messages = body.messages as { role: string; content: unknown }[];
    if (entry.value.trim()) messages.push({ role: "user", content: entry.value });
    else if (messages.at(-1)?.role === "assistant") messages.pop();
    if (!messages.some((message) => message.role === "user")) messages.push({ role: "user", content: "Hello!" });
    const { model, ...inputs } = body;
    const key = settings.token ? "process.env.VERGE_TOKEN" : `"none"`;
    return {
      path: "/v1/chat/completions", body, model: String(model), inputs: pretty(inputs),
      javascript: `import OpenAI from "openai";
const client = new OpenAI({ baseURL: "${location.origin}/v1", apiKey: ${key} });
const stream = await client.chat.completions.create(${pretty(body)});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
      python: `${settings.token ? "import os\n" : ""}from openai import OpenAI
client = OpenAI(base_url="${location.origin}/v1", api_key=${settings.token ? `os.environ["VERGE_TOKEN"]` : `"none"`})
stream = client.chat.completions.create(**${pythonLiteral(body)})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
    };
  }

  async function generate() {
    let body: Record<string, unknown>;
    replace(problem);
    try { body = request(); } catch (wrong) { replace(problem, errorBox(wrong)); return; }
    body.stream_options = { include_usage: true };
    const turn: Turn = { role: "assistant", content: "", reasoning: "", calls: [] };
    turns.push(turn);
    stopper = new AbortController();
    update();
    announce("The model is answering.");
    const started = performance.now();
    let first = 0, usage: any = null, who = "";
    const facts = () => {
      const seconds = (performance.now() - first) / 1000;
      const tokens = usage?.completion_tokens;
      return [
        first ? `first token after ${Math.round(first - started)} ms` : null,
        tokens > 1 && seconds > 0 ? `${((tokens - 1) / seconds).toFixed(1)} tokens/s` : null,
        usage ? `${usage.prompt_tokens} tokens read, ${tokens} written` : null, who,
      ].filter(Boolean).join(" · ");
    };
    try {
      const answer = await post("/v1/chat/completions", body, stopper.signal);
      who = answeredBy(answer);
      for await (const event of events(answer)) {
        if (event.usage) usage = event.usage;
        const delta = event.choices?.[0]?.delta;
        if (!delta) continue;
        if (!first && (delta.content || delta.reasoning_content || delta.tool_calls)) first = performance.now();
        turn.content += delta.content ?? "";
        turn.reasoning += delta.reasoning_content ?? "";
        for (const part of delta.tool_calls ?? []) {
          const call = (turn.calls![part.index] ??= { id: part.id, type: "function", function: { name: "", arguments: "" } });
          call.function.name += part.function?.name ?? "";
          call.function.arguments += part.function?.arguments ?? "";
        }
        draw(turn);
      }
      turn.facts = facts();
      announce("The answer is complete: " + turn.content.slice(0, 300));
    } catch (failure) {
      if ((failure as Error).name === "AbortError") {
        turn.facts = ["stopped", facts()].filter(Boolean).join(" · ");
        announce("Stopped.");
      } else {
        turn.failure = failure;
      }
    }
    stopper = null;
    update();
  }

  function send() {
    if (stopper) return;
    const text = entry.value.trim();
    if (!text || !picker.model) return;
    turns = turns.filter((turn) => !turn.failure);
    turns.push({ role: "user", content: text });
    entry.value = "";
    generate();
  }

  function results(calls: Call[]): HTMLElement {
    const fields = calls.map((call) => [call, h("textarea", { rows: 2, class: "mono" })] as const);
    return h("div", { class: "results" },
      fields.map(([call, area]) => field(`Result of ${call.function.name}`, area, call.function.arguments)),
      button("Send the results", () => {
        for (const [call, area] of fields) turns.push({ role: "tool", content: area.value, call });
        generate();
      }, { class: "primary" }));
  }

  const drawn = new Map<Turn, HTMLElement>();
  function fill(element: HTMLElement, turn: Turn) {
    const index = turns.indexOf(turn), last = index === turns.length - 1;
    const name = { user: "You", assistant: "Model", tool: `Result of ${turn.call?.function.name}` }[turn.role];
    const actions = stopper ? [] : [
      turn.role === "user" ? button("Edit", () => edit(element, turn)) : null,
      turn.role === "assistant" ? button("Regenerate", () => { turns = turns.slice(0, index); generate(); }) : null,
      turn.content ? button("Copy", () => navigator.clipboard?.writeText(turn.content)) : null,
    ];
    replace(element, h("h2", {}, name),
      turn.reasoning ? h("details", {}, h("summary", {}, "Thoughts"), h("div", { class: "text" }, turn.reasoning)) : null,
      turn.content ? formatted(turn.content) : stopper && last ? h("div", { class: "text waiting" }, "…") : null,
      (turn.calls ?? []).map((call) => h("pre", { tabindex: "0", "aria-label": "Call" }, `${call.function.name}(${call.function.arguments})`)),
      turn.failure ? errorBox(turn.failure) : null,
      turn.facts ? h("p", { class: "hint facts" }, turn.facts) : null,
      h("div", { class: "row" }, actions),
      last && !stopper && turn.calls?.length ? results(turn.calls) : null);
  }
  function edit(element: HTMLElement, turn: Turn) {
    const area = h("textarea", { rows: 4, "aria-label": "Edit the message" });
    area.value = turn.content;
    replace(element, h("h2", {}, "You"), area, h("div", { class: "row" },
      button("Send again", () => {
        turns = turns.slice(0, turns.indexOf(turn));
        turns.push({ role: "user", content: area.value.trim() || turn.content });
        generate();
      }, { class: "primary" }), button("Cancel", () => fill(element, turn))));
    area.focus();
  }
  function draw(turn: Turn) {
    const near = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    fill(drawn.get(turn)!, turn);
    if (near) log.scrollTop = log.scrollHeight;
  }
  function update() {
    drawn.clear();
    replace(log, turns.length ? turns.map((turn) => {
      const element = h("article", { class: "turn " + turn.role });
      drawn.set(turn, element);
      fill(element, turn);
      return element;
    }) : h("p", { class: "empty" }, picker?.model ? "Ask something. Nothing leaves this server." : "Choose a model to start."));
    log.scrollTop = log.scrollHeight;
    go.textContent = stopper ? "Stop" : "Send";
    go.classList.toggle("stop", !!stopper);
    go.disabled = !stopper && !picker?.model;
    clear.disabled = !!stopper || !turns.length;
    refresh(code);
  }
  const clear = button("New chat", () => { turns = []; replace(problem); update(); entry.focus(); });

  const options = h("details", { class: "options" }, h("summary", {}, "Parameters"),
    h("div", { class: "grid" }, numbers.map(([name, label, , hint]) => field(label, inputs.get(name)!, hint))),
    field("Form of the answer", form), schemaField,
    field("Functions (tools)", tools, "A JSON list, as OpenAI's API takes it. The page shows calls, and you write the results."),
    h("div", { class: "row" }, button("Example of a function", () => { tools.value = examples.tools; refresh(code); })),
    field("Choice of a function", choice));
  options.open = matchMedia("(min-width: 900px)").matches;
  update();
  return h("div", { class: "split" },
    h("section", { class: "side", "aria-label": "Settings" }, picker.element, field("System prompt", system), options),
    h("section", { class: "main", "aria-label": "Chat" }, log, problem,
      h("div", { class: "composer" }, entry, h("div", { class: "row" }, go, clear)), code));
}
