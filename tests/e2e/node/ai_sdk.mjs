// The npm packages `ai` and `workers-ai-provider`, over the binding. usage: node ai_sdk.mjs BASE PACKAGE
import assert from "node:assert/strict";
import { APICallError, generateText, streamText } from "ai";
import { createWorkersAI } from "workers-ai-provider";
const [, , server, folder] = process.argv;
const { createAI } = await import(`${folder}/src/index.mjs`);

const provider = createWorkersAI({ binding: createAI({ server }) });
const model = provider("@t/stories");
const whole = await generateText({ model, prompt: "Once upon a time", maxOutputTokens: 16, temperature: 0, maxRetries: 0 });
assert.ok(whole.text.length > 5);
assert.ok(whole.usage.outputTokens > 0);

const streamed = streamText({ model, prompt: "Once upon a time", maxOutputTokens: 16, temperature: 0, maxRetries: 0 });
let text = "", pieces = 0;
for await (const piece of streamed.textStream) {
  text += piece;
  pieces++;
}
assert.equal(text, whole.text);
assert.ok(pieces > 3);

const controller = new AbortController();
const aborted = streamText({ model, prompt: "Once upon a time", maxOutputTokens: 400, abortSignal: controller.signal, maxRetries: 0, onError() {} });
let seen = 0;
try {
  for await (const piece of aborted.textStream) if (piece && ++seen === 2) controller.abort();
} catch {}
assert.ok(seen < 400);

await assert.rejects(generateText({ model: provider("@cf/nobody/nothing"), prompt: "x", maxRetries: 0 }), (e) => {
  assert.match(String(e.message), /5007|No such model/);
  return APICallError.isInstance(e) || e.name === "InferenceUpstreamError";
});
console.log("ok");
