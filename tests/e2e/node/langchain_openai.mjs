// The npm package `@langchain/openai`: typed answers, a tool's round trip, a stream. usage: node langchain_openai.mjs BASE MODEL
import assert from "node:assert/strict";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";

const [, , base, model] = process.argv;
const options = { model, apiKey: "none", maxRetries: 0, temperature: 0, maxTokens: 120, configuration: { baseURL: `${base}/v1` } };
const Pet = z.object({ kind: z.enum(["cat", "dog"]), age: z.int().min(1).max(30), owner: z.string().max(8).nullable() });
const question = "My cat is 7 years old.";
const weather = tool(async ({ city }) => `${city}: sunny`, {
  name: "weather", description: "The weather of a city", schema: z.object({ city: z.string().max(20) }),
});

for (const useResponsesApi of [false, true]) {
  const chat = new ChatOpenAI({ ...options, useResponsesApi });
  for (const method of ["jsonSchema", "functionCalling"]) Pet.parse(await chat.withStructuredOutput(Pet, { name: "pet", method }).invoke(question));
  const typed = await chat.withStructuredOutput(Pet, { name: "pet", strict: true, includeRaw: true }).invoke(question);
  assert.deepEqual(Pet.parse(typed.parsed), typed.parsed);

  const history = [new HumanMessage("What is the weather in Paris?")];
  const bound = chat.bindTools([weather], { tool_choice: "weather" });
  const asked = await bound.invoke(history);
  assert.equal(asked.tool_calls.length, 1);
  assert.equal(asked.invalid_tool_calls.length, 0);
  const result = await weather.invoke(asked.tool_calls[0]);
  assert.ok(ToolMessage.isInstance(result) && result.tool_call_id === asked.tool_calls[0].id);
  const answer = await chat.bindTools([weather], { tool_choice: "none" }).invoke([...history, asked, result]);
  assert.ok(answer.text.length > 0);
  assert.ok(answer.usage_metadata.input_tokens > 0 && asked.usage_metadata.output_tokens > 0);

  let whole, pieces = 0;
  for await (const piece of await bound.stream(history)) {
    whole = whole ? whole.concat(piece) : piece;
    pieces++;
  }
  assert.deepEqual(whole.tool_calls.map(({ name, args }) => ({ name, args })), asked.tool_calls.map(({ name, args }) => ({ name, args })));
  assert.ok(pieces > 3);

  const plain = await chat.invoke("Say hello.");
  let text = "";
  for await (const piece of await chat.stream("Say hello.")) text += piece.text;
  assert.equal(text, plain.text);
}

const vectors = await new OpenAIEmbeddings({ model: "@verge/all-minilm-l6-v2", apiKey: "none", maxRetries: 0, configuration: { baseURL: `${base}/v1` } }).embedDocuments(["a cat", "a train"]);
assert.deepEqual(vectors.map((v) => v.length), [384, 384]);
await assert.rejects(new ChatOpenAI({ ...options, model: "@cf/nobody/nothing" }).invoke("x"), /nothing/);
console.log("ok");
