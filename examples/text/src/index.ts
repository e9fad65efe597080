// Text generation, the whole answer at once:  curl http://localhost:8787
export default {
  async fetch(request, env): Promise<Response> {
    const response = await env.AI.run('@cf/meta/llama-3.2-3b-instruct', {
      prompt: 'Explain serverless computing in one sentence.',
      stream: false,
    })
    return new Response(response.response, { headers: { 'content-type': 'text/plain' } })
  },
}
