// The AI SDK over @ai-sdk/openai's responses. usage: node ai_sdk.mjs BASE MODEL
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const MODEL = process.argv[3];
const openai = createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none" });
const model = openai.responses(MODEL);
const ASK = { model, temperature: 0, maxOutputTokens: 12, maxRetries: 0 };

const whole = await generateText({ ...ASK, prompt: "A pet" });
assert.ok(whole.text.length > 0);
assert.equal(whole.finishReason, "length");
const streamed = streamText({ ...ASK, prompt: "A pet" });
let text = "";
for await (const piece of streamed.textStream) text += piece;
assert.equal(text, whole.text);

// The history goes back by reference to what the server keeps.
const again = await generateText({ ...ASK, messages: [{ role: "user", content: "A pet" }, ...whole.response.messages, { role: "user", content: "And a dog" }] });
assert.ok(again.usage.inputTokens > whole.usage.inputTokens);

const Pet = z.object({ kind: z.enum(["cat", "dog"]), soft: z.boolean() });
const typed = await generateText({ model, temperature: 1, maxOutputTokens: 200, prompt: "A pet", output: Output.object({ schema: Pet }) });
Pet.parse(typed.output);

const asked = [];
const ageOf = tool({ description: "Age of a pet", inputSchema: z.object({ kind: z.enum(["cat", "dog"]) }), execute: async ({ kind }) => { asked.push(kind); return "7"; } });
const steps = await generateText({ model, temperature: 0, maxOutputTokens: 300, prompt: "How old is the cat?", tools: { ageOf }, toolChoice: "required", stopWhen: stepCountIs(2), maxRetries: 0 });
assert.ok(asked.length >= 2);  // the second step has the first one's result in its history
assert.equal(steps.steps[0].toolResults[0].output, "7");
console.log("ok");
