// Makes the documentation a static site: docs.mjs ROOT OUT. Pages are in reading order; links between them are relative.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import markdownIt from "markdown-it";

const [root, out] = process.argv.slice(2);
const { pages } = JSON.parse(readFileSync(join(root, "docs/order.json"), "utf8"));
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const flat = pages.flatMap((group) => group.pages);
const nameOf = (file) => (file === flat[0].file ? "index" : posix.basename(file, ".md").toLowerCase());
const known = new Map(flat.map((page) => [page.file, nameOf(page.file) + ".html"]));

// As GitHub makes the names of headings, so that links work in both places.
const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");

function render(file) {
  const used = new Map();
  const markdown = markdownIt({ html: false, linkify: false });
  markdown.core.ruler.push("anchors", (state) => {
    state.tokens.forEach((token, index) => {
      if (token.type !== "heading_open") return;
      const text = state.tokens[index + 1].children.filter((one) => one.type === "text" || one.type === "code_inline").map((one) => one.content).join("");
      const plain = slug(text), times = used.get(plain) ?? 0;
      used.set(plain, times + 1);
      token.attrSet("id", times ? `${plain}-${times}` : plain);
    });
  });
  markdown.renderer.rules.table_open = () => '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n<table>\n';
  markdown.renderer.rules.table_close = () => "</table>\n</div>\n";
  const fence = markdown.renderer.rules.fence;
  markdown.renderer.rules.fence = (...all) => fence(...all).replace("<pre>", '<pre tabindex="0">');
  // Of a table whose columns need no names, the empty head is left out.
  markdown.core.ruler.push("links", (state) => {
    for (const token of state.tokens) for (const child of token.children ?? []) {
      const attribute = child.type === "link_open" ? "href" : child.type === "image" ? "src" : null;
      if (!attribute) continue;
      const target = child.attrGet(attribute);
      if (/^([a-z]+:|#|\/verge\/)/.test(target)) continue;
      const [path, fragment] = target.split("#");
      const resolved = posix.normalize(posix.join(posix.dirname(file), path));
      const mark = fragment ? "#" + fragment : "";
      if (known.has(resolved)) child.attrSet(attribute, known.get(resolved) + mark);
      else if (attribute === "src") {
        cpSync(join(root, resolved), join(out, posix.basename(resolved)));
        child.attrSet(attribute, posix.basename(resolved));
      } else if (existsSync(join(root, resolved))) {
        // A file of the repository that is no page: its name stands there, without a link.
        const end = token.children.indexOf(child);
        child.tag = token.children.find((one, index) => index > end && one.type === "link_close").tag = "span";
        child.attrs = [["title", resolved]];
      } else throw new Error(`${file}: the link ${target} leads nowhere`);
    }
  });
  return markdown.render(readFileSync(join(root, file), "utf8")).replace(/<thead>\s*<tr>\s*(<th[^>]*><\/th>\s*)+<\/tr>\s*<\/thead>/g, "");
}

mkdirSync(out, { recursive: true });
for (const name of ["docs.css", "icon.svg"]) writeFileSync(join(out, name), readFileSync(join("src", name)));
flat.forEach((page, index) => {
  const nav = pages.map((group) => `<h2>${escape(group.title)}</h2>\n<ul>${group.pages.map((one) =>
    `<li><a href="${known.get(one.file)}"${one === page ? ' aria-current="page"' : ""}>${escape(one.title)}</a></li>`).join("")}</ul>`).join("\n");
  const step = (other, word) => (other ? `<a href="${known.get(other.file)}">${word}: ${escape(other.title)}</a>` : "<span></span>");
  writeFileSync(join(out, known.get(page.file)), `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(page.title)} – Verge</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="docs.css">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<nav aria-label="Documentation"><p class="brand"><a href="index.html">Verge</a></p>
${nav}
</nav>
<main id="content">
${render(page.file)}
<p class="steps">${step(flat[index - 1], "Before")}${step(flat[index + 1], "Next")}</p>
</main>
</body>
</html>
`);
});
