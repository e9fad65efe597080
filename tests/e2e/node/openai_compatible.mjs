// The AI SDK over `@ai-sdk/openai-compatible`: typed answers, tools in several steps, streams. usage: node openai_compatible.mjs BASE MODEL
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateObject, generateText, isStepCount, Output, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const [, , base, MODEL] = process.argv;
const verge = createOpenAICompatible({ name: "verge", baseURL: `${base}/v1`, apiKey: "none", supportsStructuredOutputs: true, includeUsage: true });
const model = verge.chatModel(MODEL);
const ASK = { model, temperature: 0, maxOutputTokens: 120, maxRetries: 0 };
const Pet = z.object({ kind: z.enum(["cat", "dog"]), age: z.int().min(1).max(30), tags: z.array(z.enum(["soft", "loud"])).max(2) });
const prompt = "My cat is 7 years old.";

const { object } = await generateObject({ ...ASK, schema: Pet, prompt });
assert.deepEqual(Pet.parse(object), object);
const { output } = await generateText({ ...ASK, output: Output.object({ schema: Pet }), prompt });
assert.deepEqual(output, object);
assert.ok(["cat", "dog"].includes((await generateObject({ ...ASK, output: "enum", enum: ["cat", "dog"], prompt })).object));
const parts = streamObject({ ...ASK, schema: Pet, prompt });
let partial, seen = 0;
for await (partial of parts.partialObjectStream) seen++;
assert.deepEqual(await parts.object, object);
assert.deepEqual(partial, object);
assert.ok(seen > 1);
for await (const pet of streamObject({ ...ASK, output: "array", schema: z.object({ kind: z.enum(["cat", "dog"]) }), prompt: "Two pets", maxOutputTokens: 40 }).elementStream) z.object({ kind: z.enum(["cat", "dog"]) }).parse(pet);

const cities = [];
const weather = tool({ description: "The weather of a city", inputSchema: z.object({ city: z.string().max(20) }), execute: async ({ city }) => (cities.push(city), { sky: "clear" }) });
const tools = { ...ASK, tools: { weather }, toolChoice: { type: "tool", toolName: "weather" }, prompt: "What is the weather in Paris?" };
// The first step calls, the second has the result in its history and answers.
const steps = { stopWhen: isStepCount(2), prepareStep: ({ stepNumber }) => (stepNumber > 0 ? { toolChoice: "none" } : undefined) };
const whole = await generateText({ ...tools, ...steps });
assert.equal(whole.steps.length, 2);
assert.deepEqual(whole.steps[0].toolResults[0].output, { sky: "clear" });
assert.ok(whole.text.length > 0 && whole.usage.inputTokens > 0);
const streamed = streamText({ ...tools, ...steps });
const kinds = [];
let text = "";
for await (const part of streamed.fullStream ?? streamed.stream) {
  kinds.push(part.type);
  if (part.type === "text-delta") text += part.text;
}
assert.ok(["tool-input-start", "tool-input-delta", "tool-call", "tool-result", "text-delta"].every((kind) => kinds.includes(kind)), kinds.join());
assert.equal(text, whole.text);
assert.equal(cities[1], cities[0]);

assert.ok((await generateText({ ...ASK, model: verge.completionModel(MODEL), prompt: "Once upon a time", maxOutputTokens: 8 })).text.length > 0);
const { embeddings } = await embedMany({ model: verge.embeddingModel("@verge/all-minilm-l6-v2"), values: ["a cat", "a train"] });
assert.deepEqual(embeddings.map((v) => v.length), [384, 384]);
await assert.rejects(generateText({ ...ASK, model: verge("@cf/nobody/nothing"), prompt }), (e) => APICallError.isInstance(e) && /nothing/.test(e.message));
console.log("ok");
