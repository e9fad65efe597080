// A summary that is made once:  curl http://localhost:8787 --data-binary @article.txt
// The same text again is answered from KV (x-cache: hit).
interface Env {
  AI: Ai
  CACHE: KVNamespace
}

async function key(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const text = await request.text()
    if (!text) return new Response('send the text as the body\n', { status: 400 })
    const id = await key(text)
    const known = await env.CACHE.get(id)
    if (known !== null) return new Response(known, { headers: { 'x-cache': 'hit' } })
    const { response } = await env.AI.run('@cf/meta/llama-3.2-3b-instruct', {
      messages: [{ role: 'user', content: `Summarize this in one sentence:\n\n${text}` }],
      max_tokens: 96,
      temperature: 0,
    })
    await env.CACHE.put(id, response, { expirationTtl: 86400 })
    return new Response(response, { headers: { 'x-cache': 'miss' } })
  },
}
