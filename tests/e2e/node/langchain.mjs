// The npm package `@langchain/cloudflare`. usage: node langchain.mjs BASE
import assert from "node:assert/strict";
import { ChatCloudflareWorkersAI, CloudflareWorkersAI } from "@langchain/cloudflare";

const options = { model: "@t/stories", cloudflareAccountId: "test", cloudflareApiToken: "none", baseUrl: `${process.argv[2]}/client/v4/accounts/test/ai/run`, maxRetries: 0 };
const chat = new ChatCloudflareWorkersAI(options);
const answer = await chat.invoke("Once upon a time");
assert.ok(answer.content.length > 5);
let text = "", pieces = 0;
for await (const piece of await chat.stream("Once upon a time")) {
  text += piece.content;
  pieces++;
}
assert.ok(text.length > 5 && pieces > 3);
const llm = new CloudflareWorkersAI(options);
assert.ok((await llm.invoke("Once upon a time")).length > 5);
await assert.rejects(new ChatCloudflareWorkersAI({ ...options, model: "@cf/nobody/nothing" }).invoke("x"), /5007|No such model|400/);
console.log("ok");
