#include "engine/tokenizers/json_decoder.h"

#include "engine/tokenizers/json_fields.h"
#include "engine/tokenizers/unicode.h"
#include "engine/tokenizers/vocabulary.h"

namespace verge::engine {
namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t found; !from.empty() && (found = text.find(from, at)) != std::string_view::npos; at = found + from.size()) {
    out.append(text.substr(at, found - at)).append(to);
  }
  return out.append(text.substr(at));
}

Result<void> add(const json::object& component, int depth, JsonDecoder* decoder) {
  if (depth > 8) return fail(Code::LoadFailed, "tokenizer.json: decoders nested more than 8 deep");
  const std::string type = component_type(component);
  if (type == "Sequence") {
    const json::array* list = get_array(component, "decoders");
    if (!list) return missing_field("the decoder Sequence", "decoders");
    for (const json::value& item : *list) {
      if (!item.is_object()) return missing_field("the decoder Sequence", "decoders");
      VERGE_TRY(add(item.get_object(), depth + 1, decoder));
    }
  } else if (type == "ByteLevel") {
    decoder->byte_level = true;
  } else if (type == "ByteFallback") {
    decoder->byte_fallback = true;
  } else if (type == "Fuse") {
    // Joins tokens, which is done anyway.
  } else if (type == "Replace") {
    const json::object* pattern = get_object(component, "pattern");
    auto from = pattern ? get_string(*pattern, "String") : std::nullopt;
    auto to = get_string(component, "content");
    if (!from || !to) return missing_field("the decoder Replace", from ? "content" : "pattern.String");
    decoder->replacements.emplace_back(*from, *to);
  } else if (type == "Strip") {
    if (get_string(component, "content") != " " || get_int(component, "stop").value_or(0) != 0)
      return unknown_component("decoder", component);
    if (get_int(component, "start").value_or(0) > 0) decoder->drop_leading_space = true;
  } else if (type == "Metaspace") {
    decoder->replacements.emplace_back(get_string(component, "replacement").value_or(std::string(kSpaceSymbol)), " ");
    const bool never = get_string(component, "prepend_scheme") == "never" || get_bool(component, "add_prefix_space") == false;
    if (!never) decoder->drop_leading_space = true;
  } else if (type == "WordPiece") {
    decoder->words = JsonDecoder::Words::ContinuingHash;
    decoder->word_piece_prefix = get_string(component, "prefix").value_or("##");
    decoder->drop_leading_space = true;
  } else if (type == "BPEDecoder") {
    decoder->replacements.emplace_back(get_string(component, "suffix").value_or("</w>"), " ");
  } else {
    return unknown_component("decoder", component);
  }
  return {};
}

}  // namespace

std::string JsonDecoder::piece(std::string_view token, bool added) const {
  if (added) return words == Words::Joined ? std::string(token) : " " + std::string(token);
  if (byte_fallback) {
    if (int byte = parse_byte_token(token); byte >= 0) return std::string(1, static_cast<char>(byte));
  }
  std::string text(token);
  for (const auto& [from, to] : replacements) text = replace_all(text, from, to);
  if (byte_level) {
    std::string bytes;
    byte_level_to_bytes(text, &bytes);
    return bytes;
  }
  if (words == Words::Spaced) return " " + text;
  if (words == Words::ContinuingHash) {
    return !word_piece_prefix.empty() && text.starts_with(word_piece_prefix) ? text.substr(word_piece_prefix.size()) : " " + text;
  }
  return text;
}

Result<JsonDecoder> make_json_decoder(const json::object* component) {
  JsonDecoder decoder;
  if (!component) {
    decoder.words = JsonDecoder::Words::Spaced;
    decoder.drop_leading_space = true;
    return decoder;
  }
  VERGE_TRY(add(*component, 0, &decoder));
  return decoder;
}

}  // namespace verge::engine
