// Search by meaning:  curl http://localhost:8787 -d 'The cat sleeps on the sofa.'       (adds a note)
//                     curl 'http://localhost:8787/?q=where+is+my+pet'                   (best first)
// The vectors are in D1; a few thousand notes are compared in a moment.
interface Env {
  AI: Ai
  NOTES: D1Database
}
const MODEL = '@cf/baai/bge-small-en-v1.5'

async function embed(env: Env, text: string): Promise<number[]> {
  const { data } = await env.AI.run(MODEL, { text: [text] })
  return data[0]
}

function cosine(a: number[], b: number[]): number {
  let dot = 0, aa = 0, bb = 0
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i]
    aa += a[i] * a[i]
    bb += b[i] * b[i]
  }
  return dot / Math.sqrt(aa * bb)
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    await env.NOTES.prepare('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, vector TEXT)').run()
    if (request.method === 'POST') {
      const text = await request.text()
      await env.NOTES.prepare('INSERT INTO notes (text, vector) VALUES (?, ?)').bind(text, JSON.stringify(await embed(env, text))).run()
      return Response.json({ added: text }, { status: 201 })
    }
    const query = new URL(request.url).searchParams.get('q')
    if (!query) return new Response('ask with ?q=…, add a note with POST\n', { status: 400 })
    const wanted = await embed(env, query)
    const { results } = await env.NOTES.prepare('SELECT text, vector FROM notes').all<{ text: string; vector: string }>()
    const scored = results.map(({ text, vector }) => ({ text, score: cosine(wanted, JSON.parse(vector)) }))
    return Response.json(scored.sort((a, b) => b.score - a.score).slice(0, 5))
  },
}
