#include "worker/runner.h"

#include <algorithm>
#include <cassert>

namespace verge::worker {

Runner::Runner(const engine::LoadedModel& model, engine::KvCache& cache, RunnerOptions options)
    : model_(&model), cache_(&cache), options_(std::move(options)), batch_(options_.batch) {
  assert(options_.batch.pages == cache.pages);
}

namespace {

// Whether the pieces are text alone, which travels in the Token itself.
bool text_alone(const std::vector<protocol::Delta>& pieces) {
  return std::all_of(pieces.begin(), pieces.end(), [](const protocol::Delta& d) {
    return d.kind == protocol::Delta::Kind::Text;
  });
}

}  // namespace

void Runner::submit(Job job, int64_t now_ms, std::vector<Output>& out) {
  const uint64_t id = job.id;
  TextStream stream(*model_->tokenizer, job.generation.stop, job.generation.starts_text,
                    job.generation.shown);
  Answer answer{std::move(job.generation), std::move(stream), {}, {}, {}, 0, false};
  const auto& grammar = answer.generation.grammar;
  if (grammar) answer.matcher = grammar->start(answer.generation.starts_text);
  // What the client already has is read again for its state only; it may also have been the whole answer.
  const char* ended = nullptr;
  for (int32_t token : answer.generation.resume) {
    if (is_stop(token) && !answer.generation.ignore_eos) {
      ended = "stop";
      repeat(answer, answer.stream.finish(), true);
      break;
    }
    if (grammar && !grammar->advance(answer.matcher, token)) {
      out.push_back({id, protocol::Failure{fail(Code::InvalidInput, "the ids to resume from do not follow the request's grammar")}});
      return;
    }
    std::string text = answer.stream.push(token);
    answer.ids.push_back(token);
    if (answer.stream.stopped()) ended = "stop";
    const bool full = static_cast<int>(answer.ids.size()) >= answer.generation.max_tokens;
    if (full) text += answer.stream.finish();
    repeat(answer, text, full || ended);
    if (ended) break;
  }
  if (!ended && static_cast<int>(answer.ids.size()) >= answer.generation.max_tokens) ended = "length";

  Batch::Sequence sequence;
  sequence.id = id;
  sequence.tenant = std::move(job.tenant);
  sequence.tokens = answer.generation.prompt;
  sequence.tokens.insert(sequence.tokens.end(), answer.ids.begin(), answer.ids.end());
  sequence.most_tokens = static_cast<int>(answer.generation.prompt.size()) + answer.generation.max_tokens;
  sequence.deadline_ms = job.deadline_ms;
  sequence.reject_if_busy = job.reject_if_busy;
  if (ended) {
    Answer& here = answers_.emplace(id, std::move(answer)).first->second;
    accept(id, here, 0, out);
    end(id, ended, out);
    return;
  }
  if (Result<void> queued = batch_.submit(std::move(sequence), now_ms); !queued) {
    out.push_back({id, protocol::Failure{std::move(queued.error())}});
    return;
  }
  answers_.emplace(id, std::move(answer));
}

void Runner::cancel(uint64_t id) {
  batch_.remove(id);
  answers_.erase(id);
}

int Runner::step(int64_t now_ms, const StepRoom& room, std::vector<Output>& out) {
  const Plan plan = batch_.plan(now_ms, room);
  answer_rows_ = plan.answer_rows;
  for (const Queue::Expired& expired : plan.expired) {
    out.push_back({expired.id, protocol::Failure{expired.error}});
    answers_.erase(expired.id);
  }
  if (plan.rows.empty()) return 0;
  step_.clear();
  size_t wanted = 0;
  int rows = 0;
  for (const Row& row : plan.rows) {
    step_.push_back({row.tokens, row.position, row.pages, row.logits ? 1 : 0, row.length});
    wanted += row.logits;
    rows += static_cast<int>(row.tokens.size());
  }
  const size_t vocabulary = static_cast<size_t>(model_->model->info().vocabulary);
  if (logits_.size() < wanted * vocabulary) logits_.resize(wanted * vocabulary);
  begin_masks(plan);
  model_->model->forward(step_, *cache_, logits_.data());
  batch_.commit(plan);
  ++steps_;
  choose();
  for (const Choice& choice : chosen_) take(choice.id, choice.sample, out);
  return rows;
}

void Runner::begin_masks(const Plan& plan) {
  chosen_.clear();
  std::vector<size_t> wanted;
  for (const Row& row : plan.rows) {
    if (!row.logits) continue;
    if (answers_.at(row.id).generation.grammar && options_.aside) {
      chosen_.push_back({row.id, {}, {}, static_cast<int>(wanted.size())});
      wanted.push_back(chosen_.size() - 1);
    } else {
      chosen_.push_back({row.id, {}, {}, -1});
    }
  }
  if (wanted.empty()) return;
  const int count = static_cast<int>(wanted.size());
  options_.aside->begin(count, [this, wanted = std::move(wanted)](int i) {
    Choice& choice = chosen_[wanted[static_cast<size_t>(i)]];
    const Answer& answer = answers_.at(choice.id);
    choice.mask = answer.generation.grammar->mask(answer.matcher);
  });
}

// Samples every row that has logits. A choice takes a tenth of a millisecond and more (large vocabularies), and
// depends on its own sequence alone.
void Runner::choose() {
  const size_t vocabulary = static_cast<size_t>(model_->model->info().vocabulary);
  const auto one = [&](int i) {
    Choice& choice = chosen_[static_cast<size_t>(i)];
    const Answer& answer = answers_.at(choice.id);
    const std::span<float> logits(logits_.data() + static_cast<size_t>(i) * vocabulary, vocabulary);
    const Generation& g = answer.generation;
    if (choice.aside >= 0) options_.aside->need(choice.aside);
    else if (g.grammar) choice.mask = g.grammar->mask(answer.matcher);
    const auto mask = choice.mask ? std::span<const uint32_t>(*choice.mask)
                                  : std::span<const uint32_t>();
    choice.sample = engine::sample(logits, g.sampling, g.prompt, answer.ids, mask);
  };
  const int count = static_cast<int>(chosen_.size());
  if (options_.threads && count > 1) options_.threads->for_each(count, one);
  else for (int i = 0; i < count; ++i) one(i);
}

std::vector<protocol::Delta> Runner::pieces(Answer& answer, std::string_view text, bool last) {
  std::vector<engine::tools::Delta> read;
  answer.generation.parser->push(text, read);
  if (last) answer.generation.parser->finish(read);
  std::vector<protocol::Delta> out;
  for (engine::tools::Delta& delta : read) {
    protocol::Delta piece;
    piece.kind = static_cast<protocol::Delta::Kind>(delta.kind);
    piece.index = delta.index;
    piece.text = std::move(delta.text);
    if (delta.kind == engine::tools::Delta::Kind::Call) {
      ++answer.calls;
      piece.id = answer.generation.call_id(delta.index, delta.name);
      piece.name = std::move(delta.name);
    }
    out.push_back(std::move(piece));
  }
  return out;
}

// Keeps the Parts of what the client already has.
void Runner::repeat(Answer& answer, std::string_view text, bool last) {
  if (!answer.generation.parser) return;
  const std::vector<protocol::Delta> all = pieces(answer, text, last);
  if (text_alone(all)) return;
  for (const protocol::Delta& piece : all) answer.repeated.emplace_back(protocol::to_json(piece));
}

// A Token with its ids and text; Parts behind it where there is more than text.
void Runner::give(uint64_t id, Answer& answer, protocol::Token token, bool last,
                  std::vector<Output>& out) {
  if (!answer.generation.parser) {
    out.push_back({id, std::move(token)});
    return;
  }
  std::vector<protocol::Delta> all = pieces(answer, token.text, last);
  token.text.clear();
  const bool alone = text_alone(all);
  if (alone)
    for (protocol::Delta& piece : all) token.text += piece.text;
  out.push_back({id, std::move(token)});
  if (alone) return;
  for (const protocol::Delta& piece : all)
    out.push_back({id, protocol::Part(protocol::to_json(piece))});
}

void Runner::accept(uint64_t id, Answer& answer, int64_t cached_tokens, std::vector<Output>& out) {
  if (answer.accepted) return;
  answer.accepted = true;
  const auto prompt = static_cast<int64_t>(answer.generation.prompt.size());
  protocol::Accepted accepted{prompt, std::min(cached_tokens, prompt), options_.node, options_.model, false};
  accepted.load = {batch_.waiting(), batch_.running(), batch_.unread_tokens()};
  out.push_back({id, std::move(accepted)});
  for (protocol::Part& part : answer.repeated) out.push_back({id, std::move(part)});
  answer.repeated.clear();
}

// Adds the chosen token to its answer and gives out what follows from it.
void Runner::take(uint64_t id, const engine::Sample& sample, std::vector<Output>& out) {
  Answer& answer = answers_.at(id);
  const Generation& g = answer.generation;
  accept(id, answer, batch_.cached_tokens(id), out);
  if (g.grammar && !g.grammar->advance(answer.matcher, sample.id)) {  // no mask admits it: never text that breaks a schema
    out.push_back({id, protocol::Failure{fail(Code::Internal, "The model's choice does not follow the grammar.")}});
    batch_.remove(id);
    answers_.erase(id);
    return;
  }
  protocol::Token token;
  if (is_stop(sample.id) && !g.ignore_eos) {
    token.text = answer.stream.finish();
    token.ids.push_back(sample.id);
    std::vector<Output> given;
    give(id, answer, std::move(token), true, given);
    const auto* first = std::get_if<protocol::Token>(&given.front().event);
    if (given.size() > 1 || !first->text.empty())
      out.insert(out.end(), std::make_move_iterator(given.begin()),
                 std::make_move_iterator(given.end()));
    end(id, "stop", out);
    return;
  }
  ++tokens_;
  answer.ids.push_back(sample.id);
  token.ids.push_back(sample.id);
  token.text = answer.stream.push(sample.id);
  if (g.sampling.logprobs >= 0) token.logprobs.push_back(logprob(sample));
  const bool full = static_cast<int>(answer.ids.size()) >= g.max_tokens;
  if (full) token.text += answer.stream.finish();
  const bool stopped = answer.stream.stopped();
  give(id, answer, std::move(token), stopped || full, out);
  if (stopped || full) end(id, stopped ? "stop" : "length", out);
  else batch_.append(id, sample.id);
}

void Runner::end(uint64_t id, const char* reason, std::vector<Output>& out) {
  const Answer& answer = answers_.at(id);
  const int64_t cached = batch_.contains(id) ? batch_.cached_tokens(id) : 0;
  const auto prompt = static_cast<int64_t>(answer.generation.prompt.size());
  if (answer.stream.stopped()) out.push_back({id, protocol::to_result(protocol::TextOutcome{answer.stream.stop()})});
  out.push_back({id, protocol::Usage{prompt, static_cast<int64_t>(answer.ids.size()), std::min(cached, prompt)}});
  const bool called = answer.calls > 0 && std::string_view(reason) == "stop";
  out.push_back({id, protocol::End{called ? "tool_calls" : reason}});
  batch_.remove(id);
  answers_.erase(id);
}

bool Runner::is_stop(int32_t id) const {
  const std::vector<int32_t>& stops = model_->stop_ids;
  return std::find(stops.begin(), stops.end(), id) != stops.end();
}

protocol::TokenLogprob Runner::logprob(const engine::Sample& sample) const {
  const auto candidate = [&](int32_t id, float logprob) { return protocol::Candidate{id, model_->tokenizer->piece(id, true), logprob}; };
  protocol::TokenLogprob out{candidate(sample.id, sample.logprob), {}};
  for (const engine::Candidate& c : sample.top) out.top.push_back(candidate(c.id, c.logprob));
  return out;
}

}  // namespace verge::worker
