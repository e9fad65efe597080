// @openai/agents: a run with a tool, two turns kept by the server, and a typed answer. usage: node agents.mjs BASE MODEL
import assert from "node:assert/strict";
import OpenAI from "openai";
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from "@openai/agents";
import { z } from "zod";

const MODEL = process.argv[3];
setTracingDisabled(true);
const openAIClient = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const runner = new Runner({ modelProvider: new OpenAIProvider({ openAIClient, useResponses: true }), tracingDisabled: true });
const asked = [];
const ageOf = tool({
  name: "age_of", description: "Age of a pet", parameters: z.object({ kind: z.enum(["cat", "dog"]) }),
  execute: async ({ kind }) => { asked.push(kind); return "7"; },
});
const modelSettings = { temperature: 0, maxTokens: 300, toolChoice: "required", parallelToolCalls: false };
const agent = new Agent({ name: "Keeper", instructions: "Be brief.", model: MODEL, tools: [ageOf], toolUseBehavior: "stop_on_first_tool", modelSettings });
const result = await runner.run(agent, "How old is the cat?");
assert.equal(asked.length, 1);
assert.equal(result.finalOutput, "7");

const plain = new Agent({ name: "Keeper", instructions: "Be brief.", model: MODEL, modelSettings: { temperature: 0 } });
const first = await runner.run(plain, "Say hello.");
const second = await runner.run(plain, "Again, please.", { previousResponseId: first.lastResponseId });
assert.notEqual(second.lastResponseId, first.lastResponseId);
const streamed = await runner.run(plain, "Say hello.", { stream: true });
let text = "";
for await (const piece of streamed.toTextStream()) text += piece;
assert.equal(text, first.finalOutput);

const Pet = z.object({ kind: z.enum(["cat", "dog"]), soft: z.boolean() });
const typed = new Agent({ name: "Typed", instructions: "Be brief.", model: MODEL, outputType: Pet, modelSettings: { temperature: 1, maxTokens: 200 } });
Pet.parse((await runner.run(typed, "A pet")).finalOutput);
console.log("ok");
