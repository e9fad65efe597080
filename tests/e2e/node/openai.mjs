// The npm `openai` package: chat, stream, typed errors. usage: node openai.mjs BASE
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: `${process.argv[2]}/client/v4/accounts/test/ai/v1`, apiKey: "none", maxRetries: 0 });
const chat = { model: "@t/stories", messages: [{ role: "user", content: "Once upon a time" }], max_tokens: 24, temperature: 0 };

const answer = await client.chat.completions.create(chat);
assert.equal(answer.choices[0].finish_reason, "length");
assert.equal(answer.usage.completion_tokens, 24);
let text = "";
for await (const chunk of await client.chat.completions.create({ ...chat, stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
assert.equal(text, answer.choices[0].message.content);

const completion = await client.completions.create({ model: "@t/stories", prompt: "Once upon a time", max_tokens: 8, temperature: 0 });
assert.ok(completion.choices[0].text.length > 0);
const ids = [];
for await (const model of client.models.list()) ids.push(model.id);
assert.ok(ids.includes("@t/stories"));

// zod writes `maximum: 9007199254740991` for whole numbers and `propertyNames` for records.
const Pet = z.object({ name: z.string().max(12), age: z.int().min(0).max(40), big: z.int(), kind: z.enum(["cat", "dog"]), owner: z.string().max(8).nullable() });
const parsed = await client.chat.completions.parse({ ...chat, max_tokens: 400, temperature: 1, seed: 1, response_format: zodResponseFormat(Pet, "pet") });
Pet.parse(parsed.choices[0].message.parsed);
const Marks = z.object({ marks: z.record(z.string().max(4), z.boolean()), last: z.literal("x") });
const marks = (await client.chat.completions.create({ ...chat, max_tokens: 400, temperature: 1, seed: 1,
  response_format: { type: "json_schema", json_schema: { name: "marks", schema: z.toJSONSchema(Marks) } } })).choices[0];
if (marks.finish_reason === "stop") Marks.parse(JSON.parse(marks.message.content));  // a record has no end that the model must find
else assert.equal(marks.finish_reason, "length");

// The package asks for base64 and decodes it; asked for numbers it gets the same ones.
const [packed, plain] = await Promise.all([undefined, "float"].map((encoding_format) =>
  client.embeddings.create({ model: "@t/embedder", input: ["green tea", "river stone"], encoding_format })));
assert.equal(packed.data.length, 2);
assert.equal(packed.data[1].embedding.length, 32);
packed.data[1].embedding.forEach((v, i) => assert.ok(Math.abs(v - plain.data[1].embedding[i]) < 1e-7));
await assert.rejects(client.embeddings.create({ model: "@t/embedder", input: "" }), (e) => e instanceof OpenAI.BadRequestError);

await assert.rejects(client.chat.completions.create({ ...chat, model: "@cf/nobody/nothing" }), (e) => e instanceof OpenAI.APIError && e.status >= 400 && /nothing/.test(e.message));
await assert.rejects(client.chat.completions.create({ ...chat, temperature: 99 }), (e) => e instanceof OpenAI.BadRequestError && /temperature/.test(e.message));
console.log("ok");
