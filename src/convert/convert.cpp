#include "convert/convert.h"

#include <algorithm>

#include "convert/charset.h"
#include "support/json.h"
#include "support/text.h"

namespace verge::convert {
namespace {

struct Kind {
  std::string_view extension, media_type, kind;
};
constexpr Kind kKinds[] = {
    {".pdf", "application/pdf", "pdf"},   {".html", "text/html", "html"},        {".htm", "text/html", "html"},
    {".csv", "text/csv", "csv"},          {".json", "application/json", "json"}, {".xml", "application/xml", "xml"},
    {".xml", "text/xml", "xml"},          {".txt", "text/plain", "text"},        {".md", "text/markdown", "text"},
};

// A fence longer than any run of backticks inside.
std::string fenced(std::string_view language, std::string_view text) {
  size_t longest = 2, run = 0;
  for (char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fence + std::string(language) + "\n" + std::string(text) + (text.ends_with('\n') ? "" : "\n") + fence + "\n";
}

}  // namespace

std::string kind_of(std::string_view name, std::string_view media_type) {
  const std::string file = ascii_lower(name);
  for (const Kind& kind : kKinds) {
    if (file.ends_with(kind.extension)) return std::string(kind.kind);
  }
  const std::string type = ascii_lower(media_type.substr(0, media_type.find(';')));
  for (const Kind& kind : kKinds) {
    if (type == kind.media_type) return std::string(kind.kind);
  }
  return {};
}

const std::vector<Supported>& supported() {
  static const std::vector<Supported> all = [] {
    std::vector<Supported> list;
    for (const Kind& kind : kKinds) list.push_back({kind.extension, kind.media_type});
    return list;
  }();
  return all;
}

Result<std::string> to_markdown(std::string_view kind, std::string_view media_type, std::string_view bytes) {
  VERGE_ASSIGN(text, to_utf8(bytes, declared_charset(kind, media_type, bytes)));
  if (kind == "html") return html_to_markdown(text);
  if (kind == "csv") return csv_to_markdown(text);
  if (kind == "xml") return fenced("xml", text);
  if (kind == "text") return text;
  if (kind == "json") {
    VERGE_TRY(parse_json(text));
    return fenced("json", text);
  }
  return fail(Code::InvalidInput, "no converter for {}", kind);
}

namespace {

// The separator that the first line names ("sep=;", which is then taken off), or the commonest outside quotes in it.
char separator_of(std::string_view& csv) {
  const std::string_view head = csv.substr(0, csv.find_first_of("\r\n"));
  std::string_view named = head;
  if (named.starts_with('"') && named.ends_with('"') && named.size() > 1) named = named.substr(1, named.size() - 2);
  if (named.size() == 5 && ascii_lower(named.substr(0, 4)) == "sep=") {
    const char separator = named[4];
    csv.remove_prefix(head.size());
    return separator;
  }
  const auto count = [&](char wanted) {
    size_t found = 0;
    bool quoted = false;
    for (char c : head) {
      quoted ^= c == '"';
      found += !quoted && c == wanted;
    }
    return found;
  };
  char separator = ',';
  for (char candidate : {';', '\t', '|'}) {
    if (count(candidate) > count(separator)) separator = candidate;
  }
  return separator;
}

}  // namespace

std::string csv_to_markdown(std::string_view csv) {
  const char separator = separator_of(csv);
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> row;
  std::string field;
  bool quoted = false, any = false;
  const auto end_field = [&] {
    row.push_back(std::move(field));
    field.clear();
  };
  const auto end_row = [&] {
    if (!any) return;
    end_field();
    rows.push_back(std::move(row));
    row.clear();
    any = false;
  };
  for (size_t i = 0; i < csv.size(); ++i) {
    const char c = csv[i];
    if (quoted) {
      if (c == '\r' && i + 1 < csv.size() && csv[i + 1] == '\n') continue;
      if (c != '"') field += c == '\n' || c == '\r' ? ' ' : c;
      else if (i + 1 < csv.size() && csv[i + 1] == '"') field += csv[i++];
      else quoted = false;
    } else if (c == '"' && field.empty()) {
      quoted = any = true;
    } else if (c == separator) {
      any = true;
      end_field();
    } else if (c == '\n' || c == '\r') {  // the row behind "\r\n" has been ended
      end_row();
    } else {
      any = true;
      field += c;
    }
  }
  end_row();
  size_t columns = 0;
  for (const auto& one : rows) columns = std::max(columns, one.size());
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r].resize(columns);
    out += "|";
    for (const std::string& cell : rows[r]) {
      out += " ";
      for (char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
      out += " |";
    }
    out += "\n";
    if (r > 0) continue;
    out += "|";
    for (size_t c = 0; c < columns; ++c) out += " --- |";
    out += "\n";
  }
  return out;
}

std::string pages_to_markdown(std::string_view text) {
  std::string out = "## Contents\n";
  int page = 0;
  while (!text.empty()) {
    const size_t end = text.find('\f');
    std::string_view one = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    while (!one.empty() && (one.back() == '\n' || one.back() == ' ')) one.remove_suffix(1);
    out += "\n### Page " + std::to_string(++page) + "\n\n" + std::string(one) + "\n";
  }
  return out;
}

}  // namespace verge::convert
