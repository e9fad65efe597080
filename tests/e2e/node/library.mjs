// The package of workers/ without workerd: createAI() and getEnv(). usage: node library.mjs BASE PACKAGE PROJECT
import assert from "node:assert/strict";
const [, , server, folder, project] = process.argv;
const { createAI, getEnv, AiInternalError, InferenceUpstreamError } = await import(`${folder}/src/index.mjs`);

const INPUT = { prompt: "Once upon a time", raw: true, max_tokens: 16, temperature: 0 };
const ai = createAI({ server });
const { response } = await ai.run("@t/stories", INPUT);
assert.ok(response.length > 10);
assert.equal(ai.lastRequestId.length, 36);
const stream = await ai.run("@t/stories", { ...INPUT, stream: true });
let text = "";
for await (const chunk of stream.pipeThrough(new TextDecoderStream())) text += chunk;
assert.ok(text.startsWith('data: {"response"') && text.trimEnd().endsWith("[DONE]"));
await assert.rejects(ai.run("@t/none", INPUT), (e) => e instanceof InferenceUpstreamError && e.message.startsWith("5007: "));
assert.equal(ai.lastRequestInternalStatusCode, 5007);
assert.equal((await ai.run("@t/none", INPUT, { returnRawResponse: true })).status, 400);
await assert.rejects(ai.run("@t/stories", { a: new ReadableStream() }), AiInternalError);
await assert.rejects(ai.run("@t/stories", { ...INPUT, max_tokens: 400 }, { signal: AbortSignal.timeout(1) }));
assert.equal((await ai.models({ per_page: 2 })).length, 2);
const page = await ai.toMarkdown({ name: "a.html", blob: new Blob(["<h1>T</h1>"], { type: "text/html" }) });
assert.equal(page.data, "# T\n");

const { env, dispose } = await getEnv({ project, server, persist: false });
try {
  assert.equal((await env.AI.run("@t/stories", INPUT)).response, response);
  await env.RESULTS.put("key", "value");
  assert.equal(await env.RESULTS.get("key"), "value");
} finally {
  await dispose();
}
console.log("ok");
