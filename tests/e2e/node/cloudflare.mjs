// The npm `cloudflare` package: run, models, schema, typed errors. usage: node cloudflare.mjs BASE
import assert from "node:assert/strict";
import Cloudflare from "cloudflare";

const client = new Cloudflare({ apiToken: "none", baseURL: `${process.argv[2]}/client/v4`, maxRetries: 0 });
const account_id = "test";

const answer = await client.ai.run("@t/stories", { account_id, prompt: "Once upon a time", raw: true, max_tokens: 16, temperature: 0 });
assert.equal(typeof answer.response, "string");
assert.equal(answer.usage.completion_tokens, 16);
const messages = await client.ai.run("@t/stories", { account_id, messages: [{ role: "user", content: "Hi" }], max_tokens: 4 });
assert.equal(typeof messages.response, "string");

const stream = await client.ai.run("@t/stories", { account_id, prompt: "Once upon a time", raw: true, max_tokens: 16, temperature: 0, stream: true }).asResponse();
const text = await stream.text();
const events = text.split("\n").filter((l) => l.startsWith("data: ")).map((l) => l.slice(6));
assert.equal(events.pop(), "[DONE]");
assert.equal(events.map((e) => JSON.parse(e).response).join(""), answer.response);

let found = 0;
for await (const model of client.ai.models.list({ account_id, task: "Text Generation" })) found += model.name?.startsWith("@cf/") ? 1 : 0;
assert.ok(found > 10);
const schema = await client.ai.models.schema.get({ account_id, model: "@cf/meta/llama-3.2-1b-instruct" });
assert.ok(schema.input && schema.output);

const page = await client.ai.toMarkdown.transform({ account_id, file: { files: [new File(["<h1>T</h1>"], "a.html", { type: "text/html" }), new File(["a,b"], "b.csv")] } });
assert.deepEqual(page.result.map((one) => [one.name, one.format]), [["a.html", "markdown"], ["b.csv", "markdown"]]);
assert.equal(page.result[0].data, "# T\n");
assert.ok((await client.ai.toMarkdown.supported({ account_id })).result.some((one) => one.extension === ".pdf"));

await assert.rejects(client.ai.run("@cf/nobody/nothing", { account_id, prompt: "x" }), (e) => e instanceof Cloudflare.APIError && e.errors[0].code === 5007);
await assert.rejects(client.ai.run("@t/stories", { account_id, prompt: 5 }), (e) => e instanceof Cloudflare.BadRequestError && e.errors[0].code === 5006);
console.log("ok");
