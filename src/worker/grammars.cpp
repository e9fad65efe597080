#include "worker/grammars.h"

#include "engine/tools/scanner.h"

namespace verge::worker {
namespace {

using engine::grammar::EnvelopePart;
using engine::grammar::Grammar;
using engine::grammar::SourceKind;
using engine::grammar::TokenBytes;

constexpr size_t kKept =
    8;  // each may hold kCacheBytes and kGrammarBytes of engine/grammar/bounds.h

struct Source {
  SourceKind kind = SourceKind::JsonSchema;
  std::string text, at;
};

Result<Source> source_of(const protocol::WantedGrammar& wanted) {
  Source out;
  if (wanted.kind == "regex") out.kind = SourceKind::Regex;
  else if (wanted.kind == "choice") out.kind = SourceKind::Choice;
  else if (wanted.kind == "gbnf") out.kind = SourceKind::Gbnf;
  else if (wanted.kind != "json_schema")
    return fail_at(Code::InvalidInput, "/grammar/kind", "a grammar of the kind '{}' is not known", wanted.kind);
  out.text = wanted.source;
  out.at = wanted.at.empty() ? "/grammar" : wanted.at;
  return out;
}

// "at '/properties/a' (pattern): …": one pointer into the request.
Error placed(const Error& error, std::string_view at) {
  const std::string& why = error.message;
  if (why.starts_with("at '")) return with_pointer(fail(Code::InvalidInput, "'{}{}", at, why.substr(4)));
  return fail_at(Code::InvalidInput, std::string(at), "'{}' can't be used: {}", at, why);
}

}  // namespace

Error with_pointer(Error error) {
  const std::string& why = error.message;
  if (error.pointer.empty() && why.starts_with("'/")) error.pointer = why.substr(1, why.find('\'', 1) - 1);
  return error;
}

Grammars::Grammars(const engine::LoadedModel& model) : model_(&model) {
  if (!model.file || !model.chat_template) return;
  const std::string& source = model.file->chat_template;
  syntax_ = engine::tools::find_syntax(source);
  thought_ = engine::tools::find_thought(source);
  std::vector<std::string> names;
  if (syntax_) names = syntax_->marks();
  if (thought_)
    for (std::string& mark : thought_->marks()) names.push_back(std::move(mark));
  for (const std::string& name : names) {
    const int32_t id = model.tokenizer->find(name);
    if (id >= 0 && model.tokenizer->is_control(id)) marks_.push_back(id);
  }
}

const TokenBytes& Grammars::tokens() {
  std::call_once(once_, [this] {
    tokens_ = std::make_unique<TokenBytes>(*model_->tokenizer, model_->stop_ids,
                                           model_->model->info().vocabulary);
  });
  return *tokens_;
}

const TokenBytes& Grammars::tokens_and_marks() {
  if (marks_.empty()) return tokens();
  std::call_once(once_marks_, [this] {
    tokens_and_marks_ = std::make_unique<TokenBytes>(*model_->tokenizer, model_->stop_ids,
                                                     model_->model->info().vocabulary, marks_);
  });
  return *tokens_and_marks_;
}

std::shared_ptr<Grammar> Grammars::known(std::string_view source) {
  const std::lock_guard lock(mutex_);
  for (auto it = recent_.begin(); it != recent_.end(); ++it) {
    if (it->source != source) continue;
    if (it->grammar->worn()) return recent_.erase(it), nullptr;
    recent_.splice(recent_.begin(), recent_, it);
    return it->grammar;
  }
  return nullptr;
}

void Grammars::keep(std::string source, std::shared_ptr<Grammar> grammar) {
  const std::lock_guard lock(mutex_);
  recent_.push_front({std::move(source), std::move(grammar)});
  if (recent_.size() > kKept) recent_.pop_back();
}

Result<std::shared_ptr<Grammar>> Grammars::find(const protocol::WantedGrammar& wanted) {
  VERGE_ASSIGN(source, source_of(wanted));
  const std::string id =
      std::string(1, static_cast<char>('0' + static_cast<int>(source.kind))) + source.text;
  if (auto have = known(id)) return have;
  auto made = Grammar::compile(source.kind, source.text, tokens());
  if (!made) return placed(made.error(), source.at);
  keep(id, *made);
  return *made;
}

Result<EnvelopePart> Grammars::part(const protocol::WantedGrammar& wanted) {
  VERGE_ASSIGN(source, source_of(wanted));
  EnvelopePart out{EnvelopePart::Kind::Value, source.text};
  out.at = source.at;
  if (source.kind == SourceKind::JsonSchema) return out;
  out.kind = source.kind == SourceKind::Gbnf ? EnvelopePart::Kind::Gbnf
                                             : EnvelopePart::Kind::Pattern;
  if (source.kind == SourceKind::Gbnf) return out;
  if (source.kind == SourceKind::Regex) return out;
  out.text.clear();
  const Result<json::value> list = parse_json(source.text);
  if (!list || !list->is_array() || list->get_array().empty())
    return fail_at(Code::InvalidInput, source.at,
                "'{}' can't be used: the choices must be a list of texts that is not empty",
                source.at);
  for (const json::value& choice : list->get_array())
    if (choice.is_string())
      out.text += (out.text.empty() ? "(?:" : "|") + engine::tools::literal(choice.get_string());
  out.text += ")";
  return out;
}

Result<std::shared_ptr<Grammar>> Grammars::find(const engine::grammar::Envelope& envelope) {
  const std::string id = "e" + envelope.key();
  if (auto have = known(id)) return have;
  auto made = Grammar::compile(envelope, tokens_and_marks());
  if (!made) return with_pointer(made.error());
  keep(id, *made);
  return *made;
}

}  // namespace verge::worker
