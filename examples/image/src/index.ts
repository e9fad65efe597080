// Image classification of an upload:  curl -F image=@cat.jpg http://localhost:8787
// It reads `result.results`; the published answer is a bare array, so verge.json asks for the other shape.
export default {
  async fetch(request, env): Promise<Response> {
    const image = (await request.formData()).get('image')
    const arrayBuffer = await image.arrayBuffer()
    const result = await env.AI.run('@cf/microsoft/resnet-50', { image: [...new Uint8Array(arrayBuffer)] })
    const best = result.results.sort((a, b) => b.score - a.score).slice(0, 3)
    return Response.json({ predictions: best.map(({ label, score }) => `${label}: ${(score * 100).toFixed(1)}%`) })
  },
}
