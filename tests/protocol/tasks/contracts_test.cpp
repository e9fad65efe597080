// The parameters and results of the tasks, both ways through JSON, and what is not of their types.
#include <gtest/gtest.h>

#include "protocol/frame.h"
#include "protocol/tasks/automatic_speech_recognition.h"
#include "protocol/tasks/images.h"
#include "protocol/tasks/text_classification.h"
#include "protocol/tasks/text_embeddings.h"
#include "protocol/tasks/text_generation.h"
#include "support/limits.h"

namespace verge::protocol {
namespace {

json::object object(std::string_view text) { return parse_json(text).value().as_object(); }

// As between api and worker: through the text of a frame.
Result over_the_wire(const Result& result) {
  std::string wire;
  encode_event(result, wire);
  EventReader reader;
  reader.feed(wire);
  return std::get<Result>(**reader.next());
}

// Each of `wrong` is refused with a pointer to what is wrong.
template <class Read>
void expect_refused(Read read, std::initializer_list<std::pair<const char*, const char*>> wrong) {
  for (const auto& [text, pointer] : wrong) {
    const auto got = read(object(text));
    ASSERT_FALSE(got) << text;
    EXPECT_EQ(got.error().code, Code::InvalidInput) << text;
    EXPECT_EQ(got.error().pointer, pointer) << text;
  }
}

TEST(TextContract, ParametersAreTheSameAfterTheWire) {
  TextParameters p;
  p.messages = parse_json(R"([{"role":"user","content":"hi"}])")->as_array();
  p.raw = true;
  p.max_tokens = 0;
  p.clamp_max_tokens = true;
  p.temperature = 0.30000000000000004;
  p.top_p = 0;
  p.min_p = 0.05;
  p.repetition_penalty = 1.1;
  p.frequency_penalty = -2;
  p.presence_penalty = 2;
  p.top_k = 40;
  p.logit_bias = {{5, -100}, {7, 1.5}};
  p.stop = {"END", "\n"};
  p.logprobs = 0;
  p.chat_template_kwargs = object(R"({"enable_thinking":false})");
  p.reasoning_effort = "none";
  p.ignore_eos = true;
  p.grammar = {"json_schema", R"({"type":"object"})", "/response_format"};
  p.tools.tools.push_back({"f", "", {}, "/tools/0"});
  p.tools.choice = {ToolMode::Required, {"f"}};
  p.tools.parallel = false;
  const auto back = text_parameters(object(json::serialize(to_json(p))));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, p);
  TextParameters least;
  least.prompt = "";
  EXPECT_EQ(json::serialize(to_json(least)), R"({"prompt":"","raw":false})");
  EXPECT_EQ(*text_parameters(to_json(least)), least);
}

TEST(TextContract, WrongTypesAreRefusedByPlace) {
  expect_refused(text_parameters, {{R"({"prompt":5})", "/prompt"},
                                   {R"({"messages":{}})", "/messages"},
                                   {R"({"raw":1})", "/raw"},
                                   {R"({"max_tokens":1.5})", "/max_tokens"},
                                   {R"({"max_tokens":-1})", "/max_tokens"},
                                   {R"({"temperature":"1"})", "/temperature"},
                                   {R"({"top_k":[]})", "/top_k"},
                                   {R"({"logit_bias":[]})", "/logit_bias"},
                                   {R"({"logit_bias":{"x":1}})", "/logit_bias"},
                                   {R"({"logit_bias":{"-1":1}})", "/logit_bias"},
                                   {R"({"logit_bias":{"4294967297":1}})", "/logit_bias"},
                                   {R"({"logit_bias":{"1":"1"}})", "/logit_bias"},
                                   {R"({"stop":"x"})", "/stop"},
                                   {R"({"stop":["x",1]})", "/stop/1"},
                                   {R"({"logprobs":true})", "/logprobs"},
                                   {R"({"chat_template_kwargs":[]})", "/chat_template_kwargs"},
                                   {R"({"grammar":"regex"})", "/grammar"},
                                   {R"({"grammar":{"kind":1}})", "/grammar/kind"},
                                   {R"({"tools":{}})", "/tools"},
                                   {R"({"tools":[{"name":"f","parameters":{}},1]})", "/tools/1"},
                                   {R"({"tools":[],"tool_choice":{"mode":7}})", "/tool_choice/mode"}});
  const std::string long_stop(limits::kStopStringBytes + 1, 's');
  EXPECT_EQ(text_parameters({{"stop", {long_stop}}}).error().pointer, "/stop");
  EXPECT_FALSE(text_parameters({{"stop", json::array(limits::kStopStrings + 1, "s")}}));
}

TEST(TextContract, OutcomesAreTheSameAfterTheWire) {
  EXPECT_EQ(text_outcome(over_the_wire(to_result(TextOutcome{"END"}))).stop, "END");
  EXPECT_EQ(text_outcome({}).stop, "");
  EXPECT_EQ(text_outcome(Result(json::value(1))).stop, "");
}

TEST(EmbeddingContract, ParametersAreTheSameAfterTheWire) {
  for (const EmbeddingParameters& p :
       {EmbeddingParameters{std::nullopt, {"a", ""}, std::nullopt, std::nullopt, std::nullopt}, EmbeddingParameters{"q", {"a"}, EmbeddingPooling::Last, false, 7}}) {
    const auto back = embedding_parameters(object(json::serialize(to_json(p))));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, p);
  }
  expect_refused(embedding_parameters, {{R"({})", "/texts"},
                                        {R"({"texts":[]})", "/texts"},
                                        {R"({"texts":"a"})", "/texts"},
                                        {R"({"texts":["a",null]})", "/texts/1"},
                                        {R"({"texts":["a"],"query":["q"]})", "/query"},
                                        {R"({"texts":["a"],"pooling":"max"})", "/pooling"},
                                        {R"({"texts":["a"],"truncate":"no"})", "/truncate"},
                                        {R"({"texts":["a"],"dimensions":0})", "/dimensions"},
                                        {R"({"texts":["a"],"dimensions":1e300})", "/dimensions"}});
}

// The numbers travel as they are in memory: no base64, no digits.
TEST(EmbeddingContract, ResultsAreTheSameAfterTheWire) {
  const Embeddings vectors{2, 3, {0.1f, -1, 3.5e-8f, 2, 0, -0.f}, EmbeddingPooling::Cls, {}};
  const Result sent = to_result(vectors);
  EXPECT_EQ(sent.blob.bytes.size(), 24u);
  const auto back = embeddings(over_the_wire(sent));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, vectors);
  const Embeddings scores{0, 0, {}, EmbeddingPooling::Mean, {0.5, -0.25}};
  EXPECT_EQ(*embeddings(over_the_wire(to_result(scores))), scores);
  Result cut = sent;
  cut.blob.bytes.pop_back();
  EXPECT_FALSE(embeddings(cut));
  Result wide = sent;
  wide.value = object(R"({"shape":[4294967296,4294967297]})");
  EXPECT_FALSE(embeddings(wide));
  EXPECT_FALSE(embeddings(Result(object(R"({"shape":"2x3"})"))));
  EXPECT_FALSE(embeddings(Result(json::value(nullptr))));
}

TEST(ClassificationContract, IsTheSameAfterTheWire) {
  for (const ClassificationParameters& p : {ClassificationParameters{std::nullopt, {"a"}}, ClassificationParameters{"q", {"a", "b"}}})
    EXPECT_EQ(*classification_parameters(object(json::serialize(to_json(p)))), p);
  expect_refused(classification_parameters, {{R"({"query":"q"})", "/texts"}, {R"({"texts":[1]})", "/texts/0"}, {R"({"texts":["a"],"query":1})", "/query"}});
  const Classification c{{"NEGATIVE", "POSITIVE"}, {{0.25, 0.75}, {1, 0}}};
  EXPECT_EQ(*classification(over_the_wire(to_result(c))), c);
  for (const char* wrong : {R"({"labels":["a"],"scores":[[1,2]]})", R"({"labels":["a"],"scores":[1]})", R"({"labels":1})"})
    EXPECT_FALSE(classification(Result(object(wrong)))) << wrong;
}

TEST(ImageContract, IsTheSameAfterTheWire) {
  const ImageClasses classes{{{"TABBY, TABBY CAT", 0.75}, {"TIGER CAT", 0.125}}};
  EXPECT_EQ(*image_classes(over_the_wire(to_result(classes))), classes);
  const FoundObjects objects{{{"cat", 0.5, 1, -2, 640, 480}}};
  EXPECT_EQ(*found_objects(over_the_wire(to_result(objects))), objects);
  EXPECT_EQ(found_objects(over_the_wire(to_result(FoundObjects{})))->objects.size(), 0u);
  EXPECT_FALSE(image_classes(Result(object(R"({"classes":[{"label":1}]})"))));
  EXPECT_FALSE(found_objects(Result(object(R"({"objects":[{"xmin":0.5}]})"))));
  EXPECT_FALSE(found_objects(Result(json::value(json::array{}))));
}

TEST(SpeechContract, IsTheSameAfterTheWire) {
  SpeechParameters p;
  p.task = "translate";
  p.language = "en";
  p.vad_filter = true;
  p.initial_prompt = "a";
  p.prefix = "b";
  p.beam_size = 1;
  p.condition_on_previous_text = false;
  p.no_speech_threshold = 0;
  p.compression_ratio_threshold = 2.5;
  p.log_prob_threshold = -3;
  p.hallucination_silence_threshold = 2;
  p.encoder_padding = 30;
  p.temperature = 0;
  p.parts = true;
  EXPECT_EQ(*speech_parameters(object(json::serialize(to_json(p)))), p);
  EXPECT_EQ(*speech_parameters({}), SpeechParameters());
  expect_refused(speech_parameters, {{R"({"task":"sing"})", "/task"},
                                     {R"({"task":1})", "/task"},
                                     {R"({"language":["en"]})", "/language"},
                                     {R"({"beam_size":0})", "/beam_size"},
                                     {R"({"beam_size":1000000})", "/beam_size"},
                                     {R"({"beam_size":"5"})", "/beam_size"},
                                     {R"({"temperature":1.5})", "/temperature"},
                                     {R"({"temperature":[0]})", "/temperature"},
                                     {R"({"vad_filter":"true"})", "/vad_filter"},
                                     {R"({"encoder_padding":"all"})", "/encoder_padding"}});
  EXPECT_EQ(speech_parameters({{"prefix", std::string(limits::kSpeechPromptBytes + 1, 'x')}}).error().pointer, "/prefix");

  const TranscriptSegment segment{0.5, 2.25, "Hello.", 0.2, -0.3, 1.5, 0.01, {50364, 2425}, {{" Hello.", 0.5, 1, 0.9}}};
  const Transcript whole{"Hello.", "en", 0.99, 3, 2.5, {segment}};
  EXPECT_EQ(*transcript(over_the_wire(to_result(whole))), whole);
  EXPECT_FALSE(transcript(Result(object(R"({"segments":[{"words":[{"start":"0"}]}]})"))));
  EXPECT_FALSE(transcript(Result(json::value("text"))));
  const TranscriptPart part{" Hello.", "en", 2.25, 3, {segment}};
  EXPECT_EQ(*transcript_part(to_part(part)), part);
  EXPECT_FALSE(transcript_part(Part(json::value(json::array{}))));
}

}  // namespace
}  // namespace verge::protocol
