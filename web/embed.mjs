// Writes the files of a folder as a C++ source that embeds them, plain and compressed: embed.mjs FOLDER CPP.
// The bytes come in by the assembler (.incbin), from files beside the source.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [folder, cpp] = process.argv.slice(2);
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const blobs = join(dirname(cpp), "blobs");
rmSync(blobs, { recursive: true, force: true });
mkdirSync(blobs, { recursive: true });

const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
  .sort();
let data = "", table = "";
files.forEach((path, index) => {
  const type = types[extname(path)];
  if (!type) throw new Error(`${path}: no media type is known for it`);
  const plain = readFileSync(join(folder, path));
  const forms = {
    plain,
    gzip: gzipSync(plain, { level: 9 }),
    brotli: brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  };
  const views = Object.entries(forms).map(([form, bytes]) => {
    if (form !== "plain" && bytes.length >= plain.length) return "{}";
    const symbol = `verge_page_${index}_${form}`;
    const blob = join(blobs, `${index}.${form}`);
    writeFileSync(blob, bytes);
    data += `asm(".section .rodata\\n${symbol}:\\n.incbin \\"${blob}\\"\\n.byte 0\\n.previous");\n`;
    data += `extern "C" __attribute__((visibility("hidden"))) const char ${symbol}[];\n`;
    return `{${symbol}, ${bytes.length}}`;
  });
  const etag = createHash("sha256").update(plain).digest("hex").slice(0, 16);
  table += `    {"${path}", "${type}", "${etag}",\n     ${views.join(", ")}},\n`;
});
writeFileSync(cpp, `// Made by web/embed.mjs.
#include "api/page.h"

${data}
namespace verge::api {
namespace {
const PageFile kFiles[] = {
${table}};
}  // namespace
std::span<const PageFile> page_files() { return kFiles; }
std::string_view page_absence() { return {}; }
}  // namespace verge::api
`);
