// The AI SDK's generateObject over env.AI, typed by zod. Needs its packages once:  npm install --prefix examples/ai-sdk
//   curl http://localhost:8787 -d 'a vegetable soup for two'
import { generateObject, streamObject } from 'ai'
import { createWorkersAI } from 'workers-ai-provider'
import { z } from 'zod'

interface Env {
  AI: Ai
}

const Recipe = z.object({
  title: z.string().max(60),
  minutes: z.int().min(5).max(180),
  difficulty: z.enum(['easy', 'medium', 'hard']),
  ingredients: z.array(z.object({ name: z.string().max(30), grams: z.int().min(1).max(2000) })).min(1).max(6),
})

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const workersai = createWorkersAI({ binding: env.AI })
    const ask = {
      model: workersai('@cf/meta/llama-3.2-3b-instruct'),
      schema: Recipe,
      prompt: `A recipe: ${(await request.text()) || 'a vegetable soup for two'}`,
      maxOutputTokens: 600,
    }
    // Of /stream each line is the recipe as far as it is written.
    if (new URL(request.url).pathname === '/stream') {
      const { partialObjectStream } = streamObject(ask)
      const lines = partialObjectStream.pipeThrough(new TransformStream({ transform: (part, out) => out.enqueue(JSON.stringify(part) + '\n') }))
      return new Response(lines.pipeThrough(new TextEncoderStream()), { headers: { 'content-type': 'application/x-ndjson' } })
    }
    const { object, usage } = await generateObject(ask)
    return Response.json({ recipe: object, usage })
  },
}
