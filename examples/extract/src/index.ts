// Data out of a text, as JSON that meets a schema:
//   curl http://localhost:8787 -d 'Ada Lovelace, born 10 December 1815 in London, wrote to Mr Babbage about his engine.'
interface Env {
  AI: Ai
}

// Keys come in this order, so that the model has named the people before it says what the text is about.
const SCHEMA = {
  type: 'object',
  properties: {
    people: {
      type: 'array',
      maxItems: 5,
      items: {
        type: 'object',
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 40 },
          born: { anyOf: [{ type: 'string', format: 'date' }, { type: 'null' }] },
        },
        required: ['name', 'born'],
        additionalProperties: false,
      },
    },
    topic: { enum: ['science', 'politics', 'sport', 'other'] },
  },
  required: ['people', 'topic'],
  additionalProperties: false,
}
type Found = { people: { name: string; born: string | null }[]; topic: string }

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const text = await request.text()
    if (!text) return new Response('send a text', { status: 400 })
    const answer = await env.AI.run('@cf/meta/llama-3.2-3b-instruct', {
      messages: [
        { role: 'system', content: 'Extract the people that the text names, and its topic.' },
        { role: 'user', content: text },
      ],
      response_format: { type: 'json_schema', json_schema: SCHEMA },
      max_tokens: 512,
    })
    // Not a text to parse: the service has done that. An answer that ran out of tokens is an error instead.
    const found = answer.response as unknown as Found
    return Response.json(found)
  },
}
