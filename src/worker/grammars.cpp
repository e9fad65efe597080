#include "worker/grammars.h"

namespace verge::worker {
namespace {

constexpr size_t kKept = 8;  // each may hold kCacheBytes and kGrammarBytes of engine/grammar/bounds.h

}  // namespace

const engine::grammar::TokenBytes& Grammars::tokens() {
  std::call_once(once_, [this] {
    tokens_ = std::make_unique<engine::grammar::TokenBytes>(*model_->tokenizer, model_->stop_ids,
                                                            model_->model->info().vocabulary);
  });
  return *tokens_;
}

std::shared_ptr<engine::grammar::Grammar> Grammars::known(engine::grammar::SourceKind kind, std::string_view source) {
  const std::lock_guard lock(mutex_);
  for (auto it = recent_.begin(); it != recent_.end(); ++it) {
    if (it->kind != kind || it->source != source) continue;
    if (it->grammar->worn()) return recent_.erase(it), nullptr;
    recent_.splice(recent_.begin(), recent_, it);
    return it->grammar;
  }
  return nullptr;
}

Result<std::shared_ptr<engine::grammar::Grammar>> Grammars::find(const json::object& wanted) {
  using engine::grammar::SourceKind;
  const std::string name = get_string(wanted, "kind").value_or(""), at = get_string(wanted, "at").value_or("/grammar");
  const std::optional<std::string> source = get_string(wanted, "source");
  SourceKind kind = SourceKind::JsonSchema;
  if (name == "regex") kind = SourceKind::Regex;
  else if (name == "choice") kind = SourceKind::Choice;
  else if (name != "json_schema") return fail(Code::InvalidInput, "a grammar of the kind '{}' is not known", name);
  if (!source) return fail(Code::InvalidInput, "a grammar without a source");
  if (auto have = known(kind, *source)) return have;
  auto made = engine::grammar::Grammar::compile(kind, *source, tokens());
  if (!made) {
    const std::string& why = made.error().message;  // "at '/properties/a' (pattern): …": one pointer into the request
    if (why.starts_with("at '")) return fail(Code::InvalidInput, "'{}{}", at, why.substr(4));
    return fail(Code::InvalidInput, "'{}' can't be used: {}", at, why);
  }
  const std::lock_guard lock(mutex_);
  recent_.push_front({kind, *source, *made});
  if (recent_.size() > kKept) recent_.pop_back();
  return *made;
}

}  // namespace verge::worker
