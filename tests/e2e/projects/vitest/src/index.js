export default {
  async fetch(request, env) {
    const prompt = new URL(request.url).searchParams.get("prompt");
    const { response } = await env.AI.run("@t/stories", { prompt, raw: true, max_tokens: 16, temperature: 0 });
    return new Response(response);
  },
};
