// A chat that streams and remembers:  curl -N http://localhost:8787/my-chat -d 'My name is Ada.'
//                                     curl -N http://localhost:8787/my-chat -d 'What is my name?'
// GET shows the history, DELETE forgets it. The history is in KV.
interface Env {
  AI: Ai
  HISTORY: KVNamespace
}
type Message = { role: 'system' | 'user' | 'assistant'; content: string }

const SYSTEM: Message = { role: 'system', content: 'You are a friendly assistant. Answer briefly.' }
const REMEMBERED = 20

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const chat = new URL(request.url).pathname
    const history = (await env.HISTORY.get<Message[]>(chat, 'json')) ?? []
    if (request.method === 'GET') return Response.json(history)
    if (request.method === 'DELETE') {
      await env.HISTORY.delete(chat)
      return new Response(null, { status: 204 })
    }

    history.push({ role: 'user', content: await request.text() })
    const stream: ReadableStream = await env.AI.run('@cf/meta/llama-3.2-3b-instruct', {
      messages: [SYSTEM, ...history.slice(-REMEMBERED)],
      stream: true,
      max_tokens: 128,
    })
    const [answer, copy] = stream.tee()
    ctx.waitUntil(remember(env, chat, history, copy))
    return new Response(answer, { headers: { 'content-type': 'text/event-stream' } })
  },
}

// What the stream said, kept once it is complete: an answer that the client cuts off is not part of the history.
async function remember(env: Env, chat: string, history: Message[], stream: ReadableStream): Promise<void> {
  let text = '', rest = ''
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    rest += chunk
    const lines = rest.split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      if (line.startsWith('data: {')) text += JSON.parse(line.slice(6)).response ?? ''
    }
  }
  history.push({ role: 'assistant', content: text })
  await env.HISTORY.put(chat, JSON.stringify(history.slice(-REMEMBERED)))
}
