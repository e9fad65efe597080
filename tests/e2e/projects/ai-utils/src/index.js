// @cloudflare/ai-utils as its users have it: functions that run in the Worker, tools made of an OpenAPI description, a streamed answer.
import { createToolsFromOpenAPISpec, runWithTools } from "@cloudflare/ai-utils";

const MODEL = "@verge/smollm2-135m-instruct";
const described = (type, description, more) => ({ type, description, ...more });

// The package can't say that a function must be called, which a model that was never taught calls needs to be told.
const asking = (ai, seen) => ({
  run(model, inputs) {
    seen.push(inputs);
    return ai.run(model, { ...inputs, temperature: 0, max_tokens: 24, ...(inputs.tools && { max_tokens: 100, tool_choice: "required", parallel_tool_calls: false }) });
  },
});

const cases = {
  async functions(env, seen) {
    const asked = [];
    const city = described("string", "City", { maxLength: 20 });
    const tools = ["weather", "population"].map((name) => ({
      name, description: `The ${name} of a city`,
      parameters: { type: "object", properties: { city }, required: ["city"] },
      function: async ({ city }) => (asked.push([name, city]), `${name} of ${city}: 7`),
    }));
    const messages = [{ role: "user", content: "What is the weather in Paris?" }];
    const answer = await runWithTools(asking(env.AI, seen), MODEL, { messages, tools }, { maxRecursiveToolRuns: 1, strictValidation: true, verbose: false });
    return { asked, answer, history: seen.at(-1).messages, without: seen.at(-1).tools === undefined };
  },

  async stream(env, seen) {
    const tools = [{
      name: "now", description: "The time", parameters: { type: "object", properties: {}, required: [] }, function: async () => "noon",
    }];
    const messages = [{ role: "user", content: "What time is it?" }];
    const stream = await runWithTools(asking(env.AI, seen), MODEL, { messages, tools }, { streamFinalResponse: true });
    return { text: await new Response(stream).text() };
  },

  async openapi(env, seen, url) {
    const parameters = [{ name: "page", in: "query", description: "Number of the page", schema: { type: "integer" } }];
    const spec = {
      openapi: "3.0.0", info: { title: "Models", version: "1" }, servers: [{ url: url.searchParams.get("server") }],
      paths: {
        "/models/search": { get: { operationId: "search_models", summary: "Search models", parameters, responses: {} } },
        "/models/schema": { get: { operationId: "schema", summary: "Schema of a model", responses: {} } },
      },
    };
    const tools = await createToolsFromOpenAPISpec(JSON.stringify(spec), { matchPatterns: [/search/], overrides: [{ matcher: () => true, values: { query: { page: "1", per_page: "1" } } }] });
    const messages = [{ role: "user", content: "Which models are there?" }];
    const answer = await runWithTools(asking(env.AI, seen), MODEL, { messages, tools }, {});
    return { tools: tools.map((tool) => tool.name), answer, history: seen.at(-1).messages };
  },
};

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    try {
      return Response.json(await cases[url.pathname.slice(1)](env, [], url));
    } catch (e) {
      return Response.json({ error: String(e), stack: e.stack }, { status: 500 });
    }
  },
};
