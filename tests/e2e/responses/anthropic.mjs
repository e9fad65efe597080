// Anthropic's package. usage: node anthropic.mjs BASE MODEL
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const MODEL = process.argv[3];
const client = new Anthropic({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const ASK = { model: MODEL, max_tokens: 12, temperature: 0, messages: [{ role: "user", content: "A pet" }] };
const whole = await client.messages.create(ASK);
assert.equal(whole.stop_reason, "max_tokens");
assert.equal(whole.content[0].type, "text");
const stream = client.messages.stream(ASK);
let text = "";
stream.on("text", (piece) => (text += piece));
const final = await stream.finalMessage();
assert.equal(text, whole.content[0].text);
assert.deepEqual({ ...final.content }, { ...whole.content });
assert.equal(final.usage.output_tokens, 12);
const { input_tokens } = await client.messages.countTokens({ model: ASK.model, messages: ASK.messages });
assert.equal(input_tokens, whole.usage.input_tokens + whole.usage.cache_read_input_tokens);
const stopped = await client.messages.create({ ...ASK, max_tokens: 100, stop_sequences: ["zzz", "e"] });
assert.equal(stopped.stop_reason, "stop_sequence");
assert.equal(stopped.stop_sequence, "e");

const tools = [{ name: "age_of", description: "Age of a pet", input_schema: { type: "object", properties: { kind: { enum: ["cat", "dog"] } }, required: ["kind"], additionalProperties: false } }];
const called = await client.messages.stream({ ...ASK, max_tokens: 300, tools, tool_choice: { type: "any", disable_parallel_tool_use: true } }).finalMessage();
assert.equal(called.stop_reason, "tool_use");
const use = called.content.at(-1);
assert.ok(["cat", "dog"].includes(use.input.kind));
const after = await client.messages.create({ ...ASK, tools, tool_choice: { type: "none" },
  messages: [...ASK.messages, { role: "assistant", content: called.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "7" }] }] });
assert.equal(after.content[0].type, "text");
await assert.rejects(client.messages.create({ ...ASK, model: "@t/none" }), Anthropic.NotFoundError);
await assert.rejects(client.messages.create({ ...ASK, container: "c" }), Anthropic.BadRequestError);
console.log("ok");
