// Speech to text:  curl --data-binary @clip.wav http://localhost:8787
export default {
  async fetch(request, env): Promise<Response> {
    const bytes = new Uint8Array(await request.arrayBuffer())
    const result = await env.AI.run('@cf/openai/whisper-tiny-en', { audio: [...bytes], response_format: 'json' })
    return Response.json({
      transcription: result.text,
      duration_seconds: result.duration,
      segments: result.segments.length,
    })
  },
}
