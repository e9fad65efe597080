// Every way to use env.AI; the path chooses one. Errors come back as {name, message}.
const MODEL = "@t/stories";
const INPUT = { prompt: "Once upon a time", raw: true, max_tokens: 16, temperature: 0 };

const CASES = {
  plain: async (ai) => ({ result: await ai.run(MODEL, INPUT), requestId: ai.lastRequestId, status: ai.lastRequestHttpStatusCode }),
  raw: async (ai) => {
    const response = await ai.run(MODEL, INPUT, { returnRawResponse: true });
    return { isResponse: response instanceof Response, status: response.status, id: response.headers.get("cf-ai-req-id"), body: await response.json() };
  },
  "raw-error": async (ai) => {
    const response = await ai.run("@t/none", INPUT, { returnRawResponse: true });
    return { status: response.status, body: await response.json() };
  },
  unknown: async (ai) => ai.run("@t/none", INPUT),
  invalid: async (ai) => ai.run(MODEL, { prompt: "x", max_tokens: "many" }),
  code: async (ai) => {
    try {
      await ai.run("@t/none", INPUT);
    } catch {}
    return { internal: ai.lastRequestInternalStatusCode, http: ai.lastRequestHttpStatusCode };
  },
  models: async (ai) => (await ai.models({ task: "Text Generation", per_page: 3 })).length,
  headers: async (ai) => ai.run(MODEL, INPUT, { extraHeaders: { "x-session-affinity": "ses_1" } }),
  abort: async (ai) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    return ai.run(MODEL, { ...INPUT, max_tokens: 400, ignore_eos: true, prompt: "x".repeat(10) }, { signal: controller.signal });
  },
  markdown: async (ai) => ai.toMarkdown([
    { name: "page.html", blob: new Blob(["<html><body><h1>Title</h1><p>Some <b>bold</b> text.</p><ul><li>one</li><li>two</li></ul></body></html>"], { type: "text/html" }) },
    { name: "table.csv", blob: new Blob(["name,age\nAda,36\nAlan,41\n"], { type: "text/csv" }) },
    { name: "data.json", blob: new Blob(['{"a":1}'], { type: "application/json" }) },
    { name: "film.mp4", blob: new Blob(["x"], { type: "video/mp4" }) },
  ]),
  supported: async (ai) => ai.toMarkdown().supported(),
};

export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1);
    if (name === "stream") {
      const stream = await env.AI.run(MODEL, { ...INPUT, max_tokens: 200, stream: true });
      return new Response(stream, { headers: { "content-type": "text/event-stream" } });
    }
    if (!CASES[name]) return new Response("no such case", { status: 404 });
    try {
      return Response.json(await CASES[name](env.AI));
    } catch (error) {
      return Response.json({ name: error.name, message: error.message }, { status: 500 });
    }
  },
};
