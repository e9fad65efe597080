// The npm packages `ai` and `workers-ai-provider`: calls over the binding. usage: node tools_ai_sdk.mjs BASE PACKAGE
import assert from "node:assert/strict";
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { createWorkersAI } from "workers-ai-provider";
const [, , server, folder] = process.argv;
const { createAI } = await import(`${folder}/src/index.mjs`);

const model = createWorkersAI({ binding: createAI({ server }) })("@verge/smollm2-135m-instruct");
let asked = [];
const weather = tool({
  description: "The weather of a city",
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string", maxLength: 20 } }, required: ["city"], additionalProperties: false }),
  execute: async ({ city }) => (asked.push(city), "sunny"),
});
const ask = { model, prompt: "What is the weather in Paris?", tools: { weather }, toolChoice: "required", maxOutputTokens: 60, temperature: 0, maxRetries: 0, stopWhen: isStepCount(1) };
const whole = await generateText(ask);
assert.equal(whole.finishReason, "tool-calls");
assert.equal(whole.toolCalls[0].toolName, "weather");
assert.equal(typeof asked[0], "string");

const streamed = streamText(ask);
const kinds = [];
for await (const part of streamed.fullStream ?? streamed.stream) kinds.push(part.type);
assert.ok(kinds.includes("tool-call") && kinds.includes("tool-result"), kinds.join());
assert.equal((await streamed.toolCalls)[0].input.city, asked[1]);
console.log("ok");
