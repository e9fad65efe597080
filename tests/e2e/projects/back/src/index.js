import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from "cloudflare:workers";

export class Named extends WorkerEntrypoint {
  add(a, b) {
    return a + b;
  }
  fail() {
    throw new RangeError("back fails");
  }
}

export class Counter extends DurableObject {
  async bump() {
    const count = ((await this.ctx.storage.get("count")) ?? 0) + 1;
    await this.ctx.storage.put("count", count);
    return count;
  }
}

export class Flow extends WorkflowEntrypoint {
  run(event, step) {
    return step.do("double", async () => event.payload.number * 2);
  }
}

export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/front") return new Response(`back, ${await (await env.FRONT.fetch("http://front/alone")).text()}`);
    if (path === "/got") return Response.json({ queue: await env.KEPT.get("queue"), tail: await env.KEPT.get("tail") });
    return new Response("back");
  },
  async queue(batch, env) {
    await env.KEPT.put("queue", JSON.stringify(batch.messages.map((message) => message.body)));
  },
  async tail(events, env) {
    const lines = events.flatMap((event) => event.logs.map((log) => String(log.message)));
    if (lines.length) await env.KEPT.put("tail", lines.join());
  },
};
