export const inputs = { prompt: "Once upon a time", raw: true, max_tokens: 16, temperature: 0 };
