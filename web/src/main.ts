// The frame: navigation by the address' fragment, the token, light and dark.
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { asker, forgetModels, settings } from "./api";
import { chatPage } from "./chat";
import { dashboardPage } from "./dashboard";
import { button, field, h, replace } from "./dom";
import { picturesPage } from "./pictures";
import { referencePage } from "./reference";
import { speechPage } from "./speech";
import { textsPage } from "./vectors";

const pages: [id: string, name: string, make: () => HTMLElement][] = [
  ["chat", "Chat", chatPage],
  ["pictures", "Pictures", picturesPage],
  ["speech", "Speech", speechPage],
  ["texts", "Embeddings", textsPage],
  ["dashboard", "Dashboard", dashboardPage],
  ["api", "API", referencePage],
];

const made = new Map<string, HTMLElement>();
const main = h("main", { id: "main", tabindex: "-1" });
const links = pages.map(([id, name]) => h("a", { href: "#" + id }, name));

function show(focus: boolean) {
  const id = location.hash.slice(1).split("?")[0];
  const index = Math.max(0, pages.findIndex((page) => page[0] === id));
  const [key, name, make] = pages[index];
  // A page keeps what it has while another is looked at.
  let page = made.get(key);
  if (!page) made.set(key, (page = make()));
  replace(main, h("h1", {}, name), page);
  links.forEach((link, i) => (i === index ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  links[index].scrollIntoView({ block: "nearest", inline: "nearest" });
  document.title = `${name} – Verge`;
  if (focus) main.focus({ preventScroll: true });
}

function applyTheme() {
  const theme = localStorage.getItem("verge-theme") ?? "system";
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

// The dialog for the token. Resolves to whether one was given.
function tokenDialog(why = ""): Promise<boolean> {
  return new Promise((resolve) => {
    const token = h("input", { type: "password", autocomplete: "off", spellcheck: "false", placeholder: "vrg_…" });
    token.value = settings.token;
    const account = h("input", { type: "text", autocomplete: "off" });
    account.value = settings.account;
    const remember = h("input", { type: "checkbox", id: "remember" });
    const theme = h("select", { onchange: () => { localStorage.setItem("verge-theme", theme.value); applyTheme(); } },
      ["system", "light", "dark"].map((value) => h("option", { value }, value)));
    theme.value = localStorage.getItem("verge-theme") ?? "system";
    let given = false;
    const dialog = h("dialog", { "aria-labelledby": "token-title", onclose: () => { dialog.remove(); resolve(given); } },
      h("form", { method: "dialog", onsubmit: (event: Event) => {
        event.preventDefault();
        settings.keep(token.value.trim(), account.value.trim(), remember.checked);
        forgetModels();
        given = true;
        dialog.close();
      } }, h("h2", { id: "token-title" }, "Token and settings"),
        why ? h("p", { class: "error", role: "alert" }, why) : null,
        field("Token", token, "Made by `verge token create`. Needed only where the server has tokens."),
        field("Account", account, "Of the routes that name one."),
        h("div", { class: "row" }, remember, h("label", { for: "remember" }, "Keep it in this browser")),
        field("Colours", theme),
        h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Save"), button("Cancel", () => dialog.close()))));
    document.body.append(dialog);
    dialog.showModal();
    token.focus();
  });
}

let asking: Promise<boolean> | null = null;
// Several requests that are refused at once ask once.
asker.ask = (why) => (asking ??= tokenDialog(why).finally(() => { asking = null; }));

applyTheme();
replace(document.getElementById("app")!,
  h("a", { class: "skip", href: "#main", onclick: (event: Event) => { event.preventDefault(); main.focus(); } }, "Skip to the content"),
  h("header", {}, h("a", { class: "brand", href: "#chat" }, "Verge"), h("nav", { "aria-label": "Pages" }, links, h("a", { href: "/verge/docs/index.html" }, "Docs")),
    button("Token", async () => { if (await tokenDialog()) { made.clear(); show(false); } }, { class: "token" })),
  main, h("div", { id: "announcements", class: "visually-hidden", "aria-live": "polite" }));
addEventListener("hashchange", () => show(true));
show(false);
