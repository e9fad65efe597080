// Token ids to text that may be shown. Pure: the text after N ids depends on those ids alone, so an
// answer that goes on elsewhere after a replay continues at the exact byte.
//
// Bytes pass three stages:
//   pieces   the tokenizer's raw bytes of each id; where the answer starts a text, the leading
//   space
//            that SentencePiece models put before a first word is dropped (Tokenizer::decode's
//            rule)
//   UTF-8    an unfinished character waits for its other bytes; each maximal part that can never
//            become one turns into U+FFFD (Unicode 15, 3.9, "best practice", as Python and Rust
//            do); one that the answer ends inside is left out
//   stop     text that may be the beginning of a stop string waits until it is one or is not
//
// T1 Text handed out is valid UTF-8 and is never taken back.
// T2 No text at or after the first stop string is handed out.
// T3 After finish() every complete character that waited is out, unless a stop string was found.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizers/tokenizer.h"

namespace verge::worker {

// Moves the complete characters from `pending` to the end of `out`; what stays is the beginning of
// one.
void take_complete_utf8(std::string& pending, std::string& out);

class TextStream {
 public:
  // `starts_text`: the answer is a text of its own (a chat's); false: it continues the prompt's text.
  // `shown`: control tokens that are texts all the same, by their names.
  TextStream(const engine::Tokenizer& tokenizer, std::vector<std::string> stop, bool starts_text,
             std::vector<int32_t> shown = {});

  // The text that became certain with this id.
  std::string push(int32_t id);
  // The answer ended by itself or by its length.
  std::string finish();
  // A stop string was found; further ids are not wanted.
  bool stopped() const { return stopped_; }
  const std::string& stop() const { return found_; }  // which; empty = none

 private:
  std::string release(bool end);

  const engine::Tokenizer* tokenizer_;
  std::vector<std::string> stop_;
  std::vector<int32_t> shown_;
  std::vector<int32_t> leading_;  // ids so far, while they have given no text and the text starts here
  bool at_start_;
  std::string bytes_;             // unfinished character
  std::string held_;              // complete characters that may begin a stop string
  bool stopped_ = false;
  std::string found_;
};

}  // namespace verge::worker
