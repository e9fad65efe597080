// Uploads that are looked at before they are kept:  curl -T cat.jpg http://localhost:8787/cat.jpg
// A picture whose best labels name something in REFUSED is turned away; every decision is logged in D1 (GET /log).
interface Env {
  AI: Ai
  UPLOADS: R2Bucket
  LOG: D1Database
  REFUSED: string
}

async function log(env: Env, name: string, label: string, score: number, kept: boolean): Promise<void> {
  await env.LOG.prepare('CREATE TABLE IF NOT EXISTS decisions (name TEXT, label TEXT, score REAL, kept INTEGER)').run()
  await env.LOG.prepare('INSERT INTO decisions VALUES (?, ?, ?, ?)').bind(name, label, score, kept ? 1 : 0).run()
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const name = new URL(request.url).pathname.slice(1)
    if (request.method === 'GET' && name === 'log') {
      return Response.json((await env.LOG.prepare('SELECT * FROM decisions').all()).results)
    }
    if (request.method === 'GET') {
      const object = await env.UPLOADS.get(name)
      return object ? new Response(object.body) : new Response('no such upload\n', { status: 404 })
    }
    const bytes = new Uint8Array(await request.arrayBuffer())
    const labels = await env.AI.run('@cf/microsoft/resnet-50', { image: [...bytes] })
    const refused = new Set(env.REFUSED.split(','))
    const bad = labels.slice(0, 3).find(({ label, score }) => score > 0.1 && label.split(', ').some((word) => refused.has(word)))
    if (!bad) await env.UPLOADS.put(name, bytes)
    await log(env, name, (bad ?? labels[0]).label, (bad ?? labels[0]).score, !bad)
    return Response.json({ kept: !bad, labels: labels.slice(0, 3) }, { status: bad ? 422 : 201 })
  },
}
