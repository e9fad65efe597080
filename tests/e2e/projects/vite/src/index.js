import { inputs } from "./inputs.js";

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/stream") {
      const stream = await env.AI.run("@t/stories", { ...inputs, stream: true });
      return new Response(stream, { headers: { "content-type": "text/event-stream" } });
    }
    try {
      return Response.json(await env.AI.run(pathname === "/unknown" ? "@t/none" : "@t/stories", inputs));
    } catch (error) {
      return Response.json({ name: error.name, message: error.message }, { status: 500 });
    }
  },
};
