// The npm `openai` package: transcriptions, translations, a stream. usage: node openai_speech.mjs BASE CLIP
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/client/v4/accounts/test/ai/v1`, apiKey: "none", maxRetries: 0 });
const model = "@cf/openai/whisper-tiny-en";
const file = () => createReadStream(process.argv[3]);
const plain = (text) => text.toLowerCase().replace(/[^a-z ]/g, "").trim();
const words = "and so my fellow americans ask not what your country can do for you ask what you can do for your country";

const whole = await client.audio.transcriptions.create({ model, file: file() });
assert.equal(plain(whole.text), words);
const verbose = await client.audio.transcriptions.create({ model, file: file(), response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
assert.equal(verbose.words.length, words.split(" ").length);
assert.ok(verbose.segments.length >= 1 && Math.abs(verbose.duration - 11) < 0.2);
assert.match(await client.audio.transcriptions.create({ model, file: file(), response_format: "vtt" }), /^WEBVTT/);
const translated = await client.audio.translations.create({ model, file: file() });
assert.equal(plain(translated.text), words);

let text = "";
let done;
for await (const event of await client.audio.transcriptions.create({ model, file: file(), stream: true })) {
  if (event.type === "transcript.text.delta") text += event.delta;
  else done = event;
}
assert.equal(done.type, "transcript.text.done");
assert.equal(done.text, whole.text);
assert.equal(text, whole.text);

await assert.rejects(client.audio.transcriptions.create({ model, file: new File(["no sound"], "talk.mp3") }), (e) => e instanceof OpenAI.BadRequestError);
console.log("ok");
