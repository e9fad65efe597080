// Text generation as server-sent events, token by token:  curl -N http://localhost:8787
export default {
  async fetch(request, env): Promise<Response> {
    const stream = await env.AI.run('@cf/meta/llama-3.2-3b-instruct', {
      prompt: 'Explain serverless computing in one sentence.',
      stream: true,
    })
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
  },
}
