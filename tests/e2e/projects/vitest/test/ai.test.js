// Runs inside workerd. EXPECTED is what the server answered to the same request from outside.
import { env, exports } from "cloudflare:workers";
import { expect, it } from "vitest";

const inputs = { prompt: "Once upon a time", raw: true, max_tokens: 16, temperature: 0 };

it("runs in workerd", () => {
  expect(navigator.userAgent).toBe("Cloudflare-Workers");
});

it("env.AI answers", async () => {
  const { response } = await env.AI.run("@t/stories", inputs);
  expect(response).toBe(EXPECTED);
});

it("the Worker's own call answers", async () => {
  const answer = await exports.default.fetch("http://tested/?prompt=Once+upon+a+time");
  expect(await answer.text()).toBe(EXPECTED);
});

it("streams", async () => {
  const stream = await env.AI.run("@t/stories", { ...inputs, stream: true });
  const text = await new Response(stream).text();
  const events = text.split("\n").filter((line) => line.startsWith("data: {"));
  expect(events.map((line) => JSON.parse(line.slice(6)).response ?? "").join("")).toBe(EXPECTED);
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
});

it("errors have the published name and code", async () => {
  await expect(env.AI.run("@t/none", inputs)).rejects.toThrow(/^5007: /);
});
