// What the parsers of all syntaxes share: a buffer of what is not decided yet, white space around
// calls, and a reader of JSON values that are cut anywhere.
#pragma once

#include "engine/tools/parser.h"

namespace verge::engine::tools {

// Length of the longest end of `text` that is the beginning, and not the whole, of `mark`.
size_t begun(std::string_view text, std::string_view mark);
size_t begun(std::string_view text, std::span<const std::string> marks);
// `text` as a regular expression that it alone matches.
std::string literal(std::string_view text);
std::string quoted_json(std::string_view text);
size_t skip_space(std::string_view text, size_t at = 0);
bool is_space(char c);

// The extent of one JSON value.
class JsonExtent {
 public:
  // Bytes of `text` that belong to the value; done() tells whether it ended there. A number or a
  // word ends before the first byte that can't be in one.
  size_t take(std::string_view text);
  bool done() const { return done_; }

 private:
  int depth_ = 0;
  bool begun_ = false, in_string_ = false, escaped_ = false, bare_ = false, done_ = false;
};

enum class Match { Yes, No, More };

class Scanner : public Parser {
 public:
  void push(std::string_view text, std::vector<Delta>& out) final;
  void finish(std::vector<Delta>& out) final;

 protected:
  // Takes what is certain from the buffer; true: there may be more to take. `end`: nothing follows.
  virtual bool step(bool end) = 0;
  void say(std::string_view text);  // white space waits for what follows it
  void begin_call(std::string_view name);
  void arguments(std::string_view piece);
  bool said() const { return said_; }              // something but white space, or a call
  bool after_call() const { return after_call_; }  // nothing but white space since
  size_t calls() const { return calls_; }
  void drop(size_t bytes) { buffer_.erase(0, bytes); }
  // Text up to the first of the marks is said, and it is dropped; its number, or -1 where none is
  // there yet.
  int say_until(std::span<const std::string> marks, bool end);
  // Text until `mark`, which may be empty, is dropped.
  bool drop_mark(std::string_view mark, bool end);

  std::string buffer_;

 private:
  std::vector<Delta>* out_ = nullptr;
  std::string space_;
  bool said_ = false, after_call_ = false;
  size_t calls_ = 0;
};

}  // namespace verge::engine::tools
