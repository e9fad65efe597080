// The openai package's client.responses. usage: node openai.mjs BASE MODEL
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const MODEL = process.argv[3];
const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const ASK = { model: MODEL, temperature: 0, max_output_tokens: 12 };

const first = await client.responses.create({ ...ASK, input: "A pet", metadata: { a: "b" } });
assert.equal(first.object, "response");
assert.equal(first.status, "incomplete");
assert.equal(first.incomplete_details.reason, "max_output_tokens");
assert.ok(first.output_text.length > 0);
assert.equal(first.usage.output_tokens, 12);

// Kept: read again, gone on from, listed, deleted.
const { output_text: _a, _request_id: _b, ...kept } = await client.responses.retrieve(first.id);
const { output_text: _c, _request_id: _d, ...made } = first;
assert.deepEqual(kept, made);
const second = await client.responses.create({ ...ASK, input: "And a dog", previous_response_id: first.id });
assert.ok(second.usage.input_tokens > first.usage.input_tokens);
const items = [];
for await (const item of client.responses.inputItems.list(second.id, { order: "asc", limit: 2 })) items.push(item);
assert.deepEqual(items.map((item) => item.role), ["user", "assistant", "user"]);
assert.equal(items[1].content[0].text, first.output_text);
await client.responses.delete(first.id);
await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
await assert.rejects(client.responses.create({ ...ASK, input: "x", previous_response_id: first.id }), (e) => e.code === "previous_response_not_found");

// A stream says the same as the whole answer.
const stream = client.responses.stream({ ...ASK, input: "A pet" });
let text = "", numbers = [];
for await (const event of stream) {
  numbers.push(event.sequence_number);
  if (event.type === "response.output_text.delta") text += event.delta;
}
assert.equal(text, first.output_text);
assert.deepEqual(numbers, numbers.map((_, i) => i));
assert.equal((await stream.finalResponse()).output_text, text);

// Structured output, whole and streamed.
const Pet = z.object({ kind: z.enum(["cat", "dog"]), age: z.number().int().min(1).max(30), soft: z.boolean() });
const format = { model: MODEL, temperature: 1, seed: 3, max_output_tokens: 200, input: "A pet", text: { format: zodTextFormat(Pet, "pet") } };
const parsed = (await client.responses.parse(format)).output_parsed;
Pet.parse(parsed);
assert.deepEqual((await client.responses.stream(format).finalResponse()).output_parsed, parsed);

// A function, and its result.
const tools = [{ type: "function", name: "age_of", description: "Age of a pet", strict: true, parameters: z.toJSONSchema(z.object({ kind: z.enum(["cat", "dog"]) })) }];
const asked = await client.responses.create({ model: MODEL, seed: 1, max_output_tokens: 300, input: "How old is the cat?", tools, tool_choice: "required", parallel_tool_calls: false });
const call = asked.output.find((item) => item.type === "function_call");
assert.equal(call.name, "age_of");
assert.ok(["cat", "dog"].includes(JSON.parse(call.arguments).kind));
for (const answer of [
  { input: [{ type: "function_call_output", call_id: call.call_id, output: "7" }], previous_response_id: asked.id },
  { input: [{ role: "user", content: "How old is the cat?" }, ...asked.output, { type: "function_call_output", call_id: call.call_id, output: "7" }], store: false },
]) assert.equal((await client.responses.create({ ...ASK, tools, tool_choice: "none", ...answer })).output[0].type, "message");
const called = client.responses.stream({ model: MODEL, seed: 1, max_output_tokens: 300, input: "How old is the cat?", tools, tool_choice: { type: "function", name: "age_of" } });
const types = [];
for await (const event of called) types.push(event.type);
assert.ok(types.includes("response.function_call_arguments.done"));
assert.equal((await called.finalResponse()).output.at(-1).type, "function_call");

await assert.rejects(client.responses.create({ ...ASK, input: "x", tools: [{ type: "web_search" }] }), (e) => e.param === "tools.0.type");
console.log("ok");
