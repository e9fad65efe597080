// Reaches the Worker "back" in every way that one Worker is bound to another.
const paths = {
  "/alone": () => "front alone",
  "/fetch": async (env) => `front, ${await (await env.BACK.fetch("http://back/")).text()}`,
  "/rpc": (env) => env.NAMED.add(2, 3),
  "/object": (env) => env.COUNTER.get(env.COUNTER.idFromName("one")).bump(),
  "/flow": async (env) => {
    const instance = await env.FLOW.create({ params: { number: 20 } });
    for (;;) {
      const { status, output, error } = await instance.status();
      if (status === "complete") return output;
      if (status === "errored") throw new Error(error.message);
      await scheduler.wait(50);
    }
  },
  "/queue": async (env) => {
    await env.JOBS.send({ number: 7 });
    return "sent";
  },
  "/log": () => {
    console.log("for the tail");
    return "logged";
  },
  "/throw": () => {
    throw new TypeError("front fails\nin two lines");
  },
  "/throw-behind": (env) => env.NAMED.fail(),
};

export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/throw") paths[path]();
    try {
      return new Response(String(await paths[path](env)));
    } catch (error) {
      return new Response(`failed: ${error.message}`, { status: 500 });
    }
  },
};
