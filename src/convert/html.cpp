// HTML to Markdown over libxml2's tree.
#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "convert/convert.h"

namespace verge::convert {
namespace {

struct FreeDocument {
  void operator()(xmlDoc* doc) const { xmlFreeDoc(doc); }
};

std::string_view name_of(const xmlNode* node) { return node->name ? reinterpret_cast<const char*>(node->name) : ""; }

// `&#146;` means byte 146 of Windows-1252, an apostrophe: pages of old office programs are full of
// them, and browsers read them so (WHATWG, 13.2.5.80). The parser makes U+0092 of it.
std::string no_c1(const char* content) {
  static constexpr std::string_view kWindows[32] = {
      "€", "", "‚", "ƒ", "„", "…", "†", "‡", "ˆ", "‰", "Š", "‹", "Œ", "", "Ž", "",
      "", "‘", "’", "“", "”", "•", "–", "—", "˜", "™", "š", "›", "œ", "", "ž", "Ÿ"};
  std::string out;
  for (const char* p = content ? content : ""; *p; ++p) {
    const auto second = static_cast<unsigned char>(p[1]);
    const bool c1 = *p == '\xc2' && second >= 0x80 && second < 0xa0;
    if (c1 && !kWindows[second - 0x80].empty()) out += kWindows[second - 0x80], ++p;
    else out += *p;
  }
  return out;
}

std::string attribute(const xmlNode* node, const char* name) {
  xmlChar* value = xmlGetProp(const_cast<xmlNode*>(node), reinterpret_cast<const xmlChar*>(name));
  std::string text = no_c1(reinterpret_cast<const char*>(value));
  xmlFree(value);
  return text;
}

// Elements inside elements: the writer calls itself for each.
constexpr int kDeepest = 1000;

bool too_deep(const xmlNode* root) {
  int depth = 0;
  for (const xmlNode* node = root; node;) {
    if (depth > kDeepest) return true;
    if (node->type != XML_ENTITY_REF_NODE && node->children) {
      node = node->children;
      ++depth;
      continue;
    }
    while (node && node != root && !node->next) {
      node = node->parent;
      --depth;
    }
    node = !node || node == root ? nullptr : node->next;
  }
  return false;
}

class Writer {
 public:
  std::string write(const xmlNode* root) {
    children(root);
    while (!out_.empty() && (out_.back() == '\n' || out_.back() == ' ')) out_.pop_back();
    return out_.empty() ? out_ : out_ + "\n";
  }

 private:
  void children(const xmlNode* node) {
    for (const xmlNode* child = node->children; child; child = child->next) visit(child);
  }

  void visit(const xmlNode* node) {
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE)
      return text(no_c1(reinterpret_cast<const char*>(node->content)).c_str());
    if (node->type != XML_ELEMENT_NODE && node->type != XML_HTML_DOCUMENT_NODE) return;
    element(node, name_of(node));
  }

  void element(const xmlNode* node, std::string_view name) {
    for (const char* hidden : {"script", "style", "noscript", "template", "iframe", "object", "svg", "select", "button", "input", "textarea", "head"}) {
      if (name == hidden) return name == "head" ? title(node) : void();
    }
    if (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6') return block([&] { line(std::string(static_cast<size_t>(name[1] - '0'), '#') + " ", node); });
    if (name == "br") return raw("\n" + prefix_);
    if (name == "hr") return block([&] { raw("---"); });
    if (name == "strong" || name == "b") return around("**", node);
    if (name == "em" || name == "i") return around("*", node);
    if (name == "del" || name == "s") return around("~~", node);
    if (name == "code" && !preformatted_) return around("`", node);
    if (name == "pre") return preformatted(node);
    if (name == "a") return link(node);
    if (name == "img") return image(node);
    if (name == "ul" || name == "ol") return list(node, name == "ol");
    if (name == "blockquote") return nested("> ", [&] { children(node); });
    if (name == "table") return table(node);
    for (const char* paragraph : {"p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "figure", "figcaption", "dl", "dt", "dd", "address", "form", "fieldset", "body", "html", "details", "summary"}) {
      if (name == paragraph) return block([&] { children(node); });
    }
    children(node);
  }

  void title(const xmlNode* head) {
    for (const xmlNode* child = head->children; child; child = child->next) {
      if (child->type == XML_ELEMENT_NODE && name_of(child) == "title") block([&] { line("# ", child); });
    }
  }

  // White space folds into one blank; none at the start of a line.
  void text(const char* content) {
    if (!content) return;
    if (preformatted_) return raw(content);
    for (const char* p = content; *p; ++p) {
      const bool blank = *p == ' ' || *p == '\n' || *p == '\t' || *p == '\r' || *p == '\f';
      if (!blank) {
        start_line();
        out_ += *p;
      } else if (!at_line_start() && out_.back() != ' ') {
        out_ += ' ';
      }
    }
  }

  bool at_line_start() const { return out_.empty() || out_.back() == '\n' || fresh_ == out_.size(); }
  void start_line() {
    if (!out_.empty() && out_.back() == '\n') out_ += prefix_;
    else if (out_.empty()) out_ += prefix_;
  }
  void raw(std::string_view text) {
    start_line();
    out_ += text;
  }
  void end_line() {
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    if (!out_.empty() && out_.back() != '\n') out_ += '\n';
  }

  // A block: an empty line before and after, none doubled.
  template <class Body>
  void block(const Body& body) {
    separate();
    body();
    separate();
  }
  void separate() {
    if (fresh_ == out_.size()) return;  // the first thing of a list's item
    end_line();
    if (!out_.empty() && !out_.ends_with("\n\n")) {
      std::string blank = prefix_;
      while (!blank.empty() && blank.back() == ' ') blank.pop_back();
      if (!out_.ends_with("\n" + blank + "\n") || blank.empty()) out_ += blank + "\n";
    }
  }

  void line(const std::string& mark, const xmlNode* node) {
    raw(mark);
    fresh_ = out_.size();
    children(node);
    end_line();
  }

  void around(const char* mark, const xmlNode* node) {
    start_line();
    const size_t before = out_.size();
    out_ += mark;
    children(node);
    const bool space = out_.ends_with(' ');
    while (out_.ends_with(' ')) out_.pop_back();
    if (out_.size() == before + std::string_view(mark).size()) out_.resize(before);  // nothing inside
    else out_ += mark;
    if (space) out_ += ' ';
  }

  template <class Body>
  void nested(const char* mark, const Body& body) {
    separate();
    const std::string outer = prefix_;
    prefix_ += mark;
    body();
    end_line();
    std::string blank = prefix_;
    while (!blank.empty() && blank.back() == ' ') blank.pop_back();
    while (out_.ends_with("\n" + blank + "\n")) out_.resize(out_.size() - blank.size() - 1);  // the space after the last block
    prefix_ = outer;
    separate();
  }

  void preformatted(const xmlNode* node) {
    block([&] {
      raw("```\n");
      preformatted_ = true;
      const size_t start = out_.size();
      children(node);
      preformatted_ = false;
      // The prefix of a quote or an item belongs before each line.
      std::string body = out_.substr(start);
      out_.resize(start);
      while (body.ends_with('\n')) body.pop_back();
      for (size_t at = 0; at <= body.size();) {
        const size_t end = std::min(body.find('\n', at), body.size());
        out_ += prefix_ + body.substr(at, end - at) + "\n";
        at = end + 1;
      }
      raw("```");
    });
  }

  void link(const xmlNode* node) {
    const std::string target = attribute(node, "href");
    if (target.empty() || target.starts_with("javascript:")) return children(node);
    raw("[");
    fresh_ = out_.size();
    children(node);
    while (out_.ends_with(' ')) out_.pop_back();
    out_ += "](" + target + ")";
  }

  void image(const xmlNode* node) {
    const std::string alt = attribute(node, "alt"), source = attribute(node, "src");
    if (!source.empty() && !source.starts_with("data:")) raw("![" + alt + "](" + source + ")");
    else if (!alt.empty()) raw(alt);
  }

  void list(const xmlNode* node, bool ordered) {
    const bool inner = depth_ > 0;
    if (inner) end_line();
    else separate();
    ++depth_;
    int number = 0;
    for (const xmlNode* item = node->children; item; item = item->next) {
      if (item->type != XML_ELEMENT_NODE || name_of(item) != "li") continue;
      const std::string mark = ordered ? std::to_string(++number) + ". " : "- ";
      raw(mark);
      fresh_ = out_.size();
      const std::string outer = prefix_;
      prefix_ += std::string(mark.size(), ' ');
      children(item);
      end_line();
      while (out_.ends_with("\n\n")) out_.pop_back();
      prefix_ = outer;
    }
    --depth_;
    if (!inner) separate();
  }

  void rows_of(const xmlNode* node, std::vector<std::vector<std::string>>& rows) {
    for (const xmlNode* child = node->children; child; child = child->next) {
      if (child->type != XML_ELEMENT_NODE) continue;
      if (name_of(child) != "tr") {
        if (name_of(child) != "table") rows_of(child, rows);
        continue;
      }
      std::vector<std::string> row;
      for (const xmlNode* cell = child->children; cell; cell = cell->next) {
        if (cell->type != XML_ELEMENT_NODE || (name_of(cell) != "td" && name_of(cell) != "th")) continue;
        std::string text = Writer().write(cell), flat;
        for (char c : text) {
          if (c == '\n') c = ' ';
          if (c == '|') flat += '\\';
          if (c != ' ' || !flat.ends_with(' ')) flat += c;
        }
        while (flat.ends_with(' ')) flat.pop_back();
        row.push_back(std::move(flat));
      }
      if (!row.empty()) rows.push_back(std::move(row));
    }
  }

  void table(const xmlNode* node) {
    std::vector<std::vector<std::string>> rows;
    rows_of(node, rows);
    size_t columns = 0;
    for (const auto& row : rows) columns = std::max(columns, row.size());
    if (columns == 0) return;
    block([&] {
      for (size_t r = 0; r < rows.size(); ++r) {
        rows[r].resize(columns);
        std::string text = "|";
        for (const std::string& cell : rows[r]) text += " " + cell + " |";
        raw(text + "\n");
        if (r > 0) continue;
        text = "|";
        for (size_t c = 0; c < columns; ++c) text += " --- |";
        raw(text + "\n");
      }
    });
  }

  std::string out_, prefix_;
  size_t fresh_ = std::string::npos;  // where a mark ends: what follows is the start of its line
  bool preformatted_ = false;
  int depth_ = 0;
};

}  // namespace

Result<std::string> html_to_markdown(std::string_view html) {
  if (html.size() > (size_t{1} << 30)) return fail(Code::InvalidInput, "the document is too large");
  // Past its own limit the parser leaves off without a word: it must lie beyond ours.
  xmlParserMaxDepth = kDeepest + 16;
  // Its own limits on depth and names stay on; nothing is fetched.
  const std::unique_ptr<xmlDoc, FreeDocument> doc(htmlReadMemory(html.data(), static_cast<int>(html.size()), nullptr, "UTF-8",
                                                                 HTML_PARSE_RECOVER | HTML_PARSE_IGNORE_ENC | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET | HTML_PARSE_COMPACT));
  if (!doc) return html.find_first_not_of(" \t\r\n") == html.npos ? Result<std::string>(std::string()) : Result<std::string>(fail(Code::InvalidInput, "this is no HTML"));
  const auto* root = reinterpret_cast<const xmlNode*>(doc.get());
  if (too_deep(root)) return fail(Code::InvalidInput, "the document's elements lie more than {} deep", kDeepest);
  return Writer().write(root);
}

}  // namespace verge::convert
