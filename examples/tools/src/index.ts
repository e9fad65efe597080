// Functions that the model may call, until it answers:  curl http://localhost:8787 -d 'Is it warmer in Oslo or in Rome?'
interface Env {
  AI: Ai
}
type Call = { name: string; arguments: { city?: string } }
type Message = { role: string; content: string; name?: string }

const MODEL = '@cf/meta/llama-3.2-3b-instruct'
const MOST_STEPS = 3

const city = { type: 'string', description: 'Name of the city', maxLength: 40 }
const TOOLS = [
  { name: 'temperature', description: 'Temperature in a city now, in degrees Celsius' },
  { name: 'local_time', description: 'Time of day in a city' },
].map((tool) => ({ ...tool, parameters: { type: 'object', properties: { city }, required: ['city'], additionalProperties: false } }))

const TEMPERATURES: Record<string, number> = { oslo: 4, paris: 12, rome: 17 }
const ZONES: Record<string, string> = { oslo: 'Europe/Oslo', paris: 'Europe/Paris', rome: 'Europe/Rome' }

function run(call: Call): string {
  const name = call.arguments.city?.toLowerCase() ?? ''
  if (!(name in ZONES)) return `no such city; there are ${Object.keys(ZONES).join(', ')}`
  if (call.name === 'temperature') return `${TEMPERATURES[name]} degrees Celsius`
  return new Date().toLocaleTimeString('en-GB', { timeZone: ZONES[name] })
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const question = (await request.text()) || 'Is it warmer in Oslo or in Rome?'
    const messages: Message[] = [{ role: 'user', content: question }]
    const calls: (Call & { result: string })[] = []
    for (let step = 0; ; step++) {
      const answer = await env.AI.run(MODEL, {
        messages,
        tools: TOOLS,
        // The first step must look something up, the last must answer.
        tool_choice: step === 0 ? 'required' : step < MOST_STEPS ? 'auto' : 'none',
        max_tokens: 200,
      } as AiTextGenerationInput)
      const { response, tool_calls } = answer as { response: string | null; tool_calls?: Call[] }
      if (!tool_calls?.length) return Response.json({ answer: response, calls })
      for (const call of tool_calls) {
        const result = run(call)
        calls.push({ name: call.name, arguments: call.arguments, result })
        messages.push({ role: 'assistant', content: JSON.stringify(call) }, { role: 'tool', name: call.name, content: result })
      }
    }
  },
}
