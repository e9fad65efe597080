import { DurableObject } from "cloudflare:workers";

async function ask(env) {
  const { response } = await env.AI.run("@t/stories", { prompt: "Once upon a time", raw: true, max_tokens: 24, temperature: 0 });
  return response;
}

export class Asker extends DurableObject {
  ask() {
    return ask(this.env);
  }
}

export default {
  async fetch(request, env) {
    switch (new URL(request.url).pathname) {
      case "/fetch":
        return new Response(await ask(env));
      case "/object":
        return new Response(await env.OBJECT.get(env.OBJECT.idFromName("one")).ask());
      case "/queue":
        await env.QUEUE.send("ask");
        return new Response("sent");
      default:
        return new Response(await env.RESULTS.get(new URL(request.url).pathname.slice(1)));
    }
  },
  async queue(batch, env) {
    await env.RESULTS.put("from-queue", await ask(env));
  },
  async scheduled(event, env) {
    await env.RESULTS.put("from-cron", await ask(env));
  },
};
