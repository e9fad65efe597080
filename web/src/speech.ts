// Speech to text: words light up while the clip plays.
import { ask, runPath, settings } from "./api";
import { codePanel, rawResult, refresh, Snippet } from "./code";
import { announce, button, field, h, replace } from "./dom";
import { answeredBy, dropZone, errorBox, ModelPicker } from "./parts";

interface Word { word: string; start: number; end: number }

export function speechPage(): HTMLElement {
  let clip: Blob | null = null, shown = "", recorder: MediaRecorder | null = null;
  const picker = new ModelPicker("speech", ["Automatic Speech Recognition"], () => refresh(code));
  const language = h("input", { type: "text", placeholder: "detected", autocomplete: "off", oninput: () => refresh(code) });
  const task = h("select", { onchange: () => refresh(code) }, h("option", { value: "transcribe" }, "Transcribe"), h("option", { value: "translate" }, "Translate to English"));
  const result = h("div", { "aria-live": "polite" });
  const path = (model: string) => {
    const query = new URLSearchParams();
    if (language.value.trim()) query.set("language", language.value.trim());
    if (task.value === "translate") query.set("task", "translate");
    return runPath(model) + (query.size ? "?" + query : "");
  };
  const snippet = (): Snippet | null => {
    if (!picker.model) return null;
    const model = picker.model.name, name = (clip as File)?.name || "clip.ogg";
    const key = settings.token ? { js: "process.env.VERGE_TOKEN", py: `os.environ["VERGE_TOKEN"]` } : { js: `"none"`, py: `"none"` };
    const call = task.value === "translate" ? "translations" : "transcriptions";
    const more = language.value.trim() && call === "transcriptions" ? language.value.trim() : "";
    return {
      path: path(model), file: name, model, inputs: "{ audio: [...new Uint8Array(await request.arrayBuffer())] }",
      javascript: `import { createReadStream } from "node:fs";
import OpenAI from "openai";
const client = new OpenAI({ baseURL: "${location.origin}/v1", apiKey: ${key.js} });
const answer = await client.audio.${call}.create({
  model: ${JSON.stringify(model)}, file: createReadStream(${JSON.stringify(name)})${more ? `, language: ${JSON.stringify(more)}` : ""},
});
console.log(answer.text);`,
      python: `${settings.token ? "import os\n" : ""}from openai import OpenAI
client = OpenAI(base_url="${location.origin}/v1", api_key=${key.py})
with open(${JSON.stringify(name)}, "rb") as clip:
    print(client.audio.${call}.create(model=${JSON.stringify(model)}, file=clip${more ? `, language=${JSON.stringify(more)}` : ""}).text)`,
    };
  };
  const code = codePanel(snippet, () => !!settings.token);

  function follow(audio: HTMLAudioElement, words: Word[], elements: HTMLElement[]) {
    const mark = () => {
      const now = audio.currentTime;
      elements.forEach((element, index) => element.classList.toggle("lit", now >= words[index].start && now < words[index].end));
      if (!audio.paused && audio.isConnected) requestAnimationFrame(mark);
    };
    for (const event of ["play", "seeked", "timeupdate"]) audio.addEventListener(event, mark);
  }

  async function listen() {
    if (!clip || !picker.model) return;
    if (shown) URL.revokeObjectURL(shown);
    shown = URL.createObjectURL(clip);
    const audio = h("audio", { src: shown, controls: true, "aria-label": "The clip" });
    replace(result, audio, h("p", { class: "hint" }, "The model listens …"));
    refresh(code);
    const started = performance.now();
    try {
      const model = picker.model.name;
      const answer = await ask(() => path(model), { method: "POST", body: clip, headers: { "content-type": "application/octet-stream" } });
      const heard = (await answer.json()).result as { text: string; words?: Word[]; duration?: number };
      const seconds = (performance.now() - started) / 1000;
      const words = heard.words ?? [];
      const elements = words.map((word) => button(word.word.trim(), () => { audio.currentTime = word.start; audio.play(); },
        { class: "word", title: `${word.start.toFixed(2)} s` }));
      replace(result, audio,
        words.length ? h("div", { class: "words", role: "group", "aria-label": "Words: choose one to hear it" }, elements)
          : h("p", {}, heard.text || "The model heard no voice."),
        h("p", { class: "hint facts" }, [`${seconds.toFixed(1)} s`, heard.duration ? `${(heard.duration / seconds).toFixed(1)} times as fast as the clip` : null, answeredBy(answer)].filter(Boolean).join(" · ")),
        rawResult(heard));
      follow(audio, words, elements);
      announce("Heard: " + heard.text);
    } catch (failure) {
      replace(result, audio, errorBox(failure));
    }
  }
  const take = (one: Blob) => { clip = one; listen(); };
  const record = button("Record", async () => {
    if (recorder) return recorder.stop();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const pieces: Blob[] = [];
      recorder = new MediaRecorder(stream);
      recorder.ondataavailable = (event) => pieces.push(event.data);
      recorder.onstop = () => {
        stream.getTracks().forEach((track) => track.stop());
        const type = recorder!.mimeType;
        recorder = null;
        record.textContent = "Record";
        take(new Blob(pieces, { type }));
      };
      recorder.start();
      record.textContent = "Stop recording";
      announce("Recording.");
    } catch (failure) {
      replace(result, errorBox(new Error(`The microphone cannot be used: ${(failure as Error).message}. Browsers allow it on localhost and over HTTPS.`)));
    }
  });
  return h("div", { class: "narrow" }, picker.element,
    h("div", { class: "grid" }, field("Language", language, "A code such as en or de; left out, it is detected."), field("Task", task)),
    dropZone("a clip", "audio/*,video/*", take, [record]), result, code);
}
