// The npm package `openai`: tools, runTools, streams. usage: node tools_openai.mjs BASE
import assert from "node:assert/strict";
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "none", maxRetries: 0 });
const parameters = { type: "object", properties: { city: { type: "string", maxLength: 20 } }, required: ["city"], additionalProperties: false };
const base = { model: "@verge/smollm2-135m-instruct", messages: [{ role: "user", content: "What is the weather in Paris?" }], temperature: 0, max_tokens: 60 };
const named = { type: "function", function: { name: "weather" } };

let asked;
const tool = { type: "function", function: { name: "weather", description: "The weather of a city", parameters, parse: JSON.parse, function: async (args) => ((asked = args), "sunny") } };
const runner = client.chat.completions.runTools({ ...base, tools: [tool], tool_choice: named });
await runner.done();
assert.equal(typeof asked.city, "string");

const stream = client.chat.completions.stream({ ...base, tools: [{ type: "function", function: { name: "weather", parameters } }], tool_choice: named });
let done;
stream.on("tool_calls.function.arguments.done", (call) => (done = call));
const final = await stream.finalChatCompletion();
assert.equal(final.choices[0].finish_reason, "tool_calls");
assert.equal(final.choices[0].message.tool_calls[0].function.name, "weather");
assert.equal(done.arguments, final.choices[0].message.tool_calls[0].function.arguments);
console.log("ok");
