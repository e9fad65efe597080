#include "engine/tools/notation.h"

#include "engine/tools/scanner.h"
#include "support/json.h"

namespace verge::engine::tools {
namespace {

constexpr int kDepth = 128;

// The end of a quoted text that begins at `at`; npos: not there yet.
size_t text_end(std::string_view text, size_t at, std::string_view quote) {
  if (!quote.empty() && text.substr(at).starts_with(quote)) {
    const size_t end = text.find(quote, at + quote.size());
    return end == text.npos ? end : end + quote.size();
  }
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    else if (text[i] == text[at]) return i + 1;
  }
  return text.npos;
}

bool begins_text(std::string_view text, size_t at, std::string_view quote) {
  return text[at] == '"' || text[at] == '\'' ||
         (!quote.empty() && text.substr(at).starts_with(quote));
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view quote) : text_(text), quote_(quote) {}

  bool value(std::string& out, int depth = 0) {
    at_ = skip_space(text_, at_);
    if (at_ >= text_.size() || depth > kDepth) return false;
    if (begins_text(text_, at_, quote_)) return quoted(out);
    const char c = text_[at_];
    if (c == '[' || c == '(') return list(out, c == '[' ? ']' : ')', depth);
    if (c == '{') return object(out, depth);
    const std::string word = this->word();
    if (word == "True" || word == "true") out += "true";
    else if (word == "False" || word == "false") out += "false";
    else if (word == "None" || word == "null") out += "null";
    else if (parse_json(word)) out += word;
    else if (!word.empty()) out += quoted_json(word);
    return !word.empty();
  }
  bool over() const { return skip_space(text_, at_) >= text_.size(); }

 private:
  std::string word() {
    const size_t end = std::min(text_.find_first_of(",]})", at_), text_.size());
    std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    while (!word.empty() && is_space(word.back())) word.remove_suffix(1);
    return std::string(word);
  }
  bool quoted(std::string& out) {
    const size_t end = text_end(text_, at_, quote_);
    if (end == text_.npos) return false;
    const std::string_view whole = text_.substr(at_, end - at_);
    at_ = end;
    if (!quote_.empty() && whole.starts_with(quote_)) {
      out += quoted_json(whole.substr(quote_.size(), whole.size() - 2 * quote_.size()));
    } else if (whole[0] == '"' && parse_json(whole)) {
      out += whole;
    } else {
      std::string plain;
      for (size_t i = 1; i + 1 < whole.size(); ++i) {
        if (whole[i] != '\\' || i + 2 >= whole.size()) {
          plain += whole[i];
          continue;
        }
        const char c = whole[++i];
        plain += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      }
      out += quoted_json(plain);
    }
    return true;
  }
  bool list(std::string& out, char close, int depth) {
    ++at_;
    out += '[';
    for (bool first = true;; first = false) {
      at_ = skip_space(text_, at_);
      if (at_ < text_.size() && text_[at_] == close) return ++at_, out += ']', true;
      if (!first && !comma(out)) return false;
      at_ = skip_space(text_, at_);
      if (!first && at_ < text_.size() && text_[at_] == close) return false;
      if (!value(out, depth + 1)) return false;
    }
  }
  bool object(std::string& out, int depth) {
    ++at_;
    out += '{';
    for (bool first = true;; first = false) {
      at_ = skip_space(text_, at_);
      if (at_ < text_.size() && text_[at_] == '}') return ++at_, out += '}', true;
      if (!first && !comma(out)) return false;
      at_ = skip_space(text_, at_);
      if (at_ >= text_.size()) return false;
      if (begins_text(text_, at_, quote_)) {
        if (!quoted(out)) return false;
      } else {
        const size_t end = text_.find(':', at_);
        if (end == text_.npos) return false;
        out += quoted_json(text_.substr(at_, end - at_));
        at_ = end;
      }
      at_ = skip_space(text_, at_);
      if (at_ >= text_.size() || text_[at_] != ':') return false;
      ++at_;
      out += ": ";
      if (!value(out, depth + 1)) return false;
    }
  }
  bool comma(std::string& out) {
    if (at_ >= text_.size() || text_[at_] != ',') return false;
    ++at_;
    out += ", ";
    return true;
  }

  std::string_view text_, quote_;
  size_t at_ = 0;
};

}  // namespace

size_t value_end(std::string_view text, std::string_view quote) {
  int depth = 0;
  for (size_t i = 0; i < text.size();) {
    if (begins_text(text, i, quote)) {
      i = text_end(text, i, quote);
      if (i == text.npos) return i;
      continue;
    }
    if (!quote.empty() && quote.starts_with(text.substr(i))) return text.npos;  // the mark is cut
    const char c = text[i];
    if (c == '[' || c == '{' || c == '(') ++depth;
    if (c == ']' || c == '}' || c == ')') {
      if (depth == 0) return i;
      --depth;
    }
    if (c == ',' && depth == 0) return i;
    ++i;
  }
  return text.npos;
}

std::string value_to_json(std::string_view text, std::string_view quote) {
  std::string out;
  Reader reader(text, quote);
  if (reader.value(out) && reader.over()) return out;
  return quoted_json(text);
}

}  // namespace verge::engine::tools
