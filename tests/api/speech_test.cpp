// Clips in every form that clients send them, and transcripts in every form that they read.
#include "api/base64.h"
#include "api/languages.h"
#include "api/multipart.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

const char* const kHeard = R"({"text":"Hello there. Bye.","language":"en","language_probability":0.98,"duration":3.5,"duration_after_vad":3.5,
 "segments":[{"start":0,"end":1.25,"text":"Hello there.","temperature":0,"avg_logprob":-0.2,"compression_ratio":1.1,"no_speech_prob":0.01,"tokens":[1,2],
  "words":[{"word":" Hello","start":0,"end":0.5,"probability":0.9},{"word":" there.","start":0.5,"end":1.25,"probability":0.8}]},
 {"start":61.5,"end":3662.004,"text":"Bye.","temperature":0,"avg_logprob":-0.3,"compression_ratio":0.9,"no_speech_prob":0.01,"tokens":[3],
  "words":[{"word":" Bye.","start":61.5,"end":62,"probability":0.7}]}]})";

class SpeechTest : public ApiTest {
 protected:
  SpeechTest() {
    service_.say({accepted(), Event(protocol::Result(json::parse(kHeard))), usage(0, 4), end()});
  }
  Answer run(std::string_view model, std::string_view body, const http::Headers& headers = {}) {
    return post(fmt::format("/client/v4/accounts/a/ai/run/{}", model), body, headers);
  }
  // One text field a line, then the file.
  Answer form(std::string_view route, const std::vector<std::pair<std::string, std::string>>& fields, bool with_file = true) {
    std::string body;
    for (const auto& [name, value] : fields) body += fmt::format("--b0\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", name, value);
    if (with_file) body += "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b;c.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b1\r\n\r\n";
    return post(route, body + "--b0--\r\n", {{"content-type", "multipart/form-data; boundary=b0"}});
  }
};

TEST_F(SpeechTest, NativeAnswersHaveAllThatIsPublishedAndWhatTutorialsRead) {
  for (const char* model : {"@cf/openai/whisper", "@cf/openai/whisper-tiny-en", "@cf/openai/whisper-large-v3-turbo"}) {
    const Answer answer = run(model, "RIFFbytes", {{"content-type", "application/octet-stream"}});
    ASSERT_EQ(answer.status, 200) << answer.body;
    const json::value result = answer.json().at("result");
    EXPECT_EQ(result.at("text"), "Hello there. Bye.");
    EXPECT_EQ(result.at("word_count"), 3);
    EXPECT_EQ(result.at("words").as_array()[1], json::parse(R"({"word":"there.","start":0.5,"end":1.25})"));
    EXPECT_EQ(result.at("segments").as_array().size(), 2u);
    EXPECT_EQ(result.at("segments").at(0).at("words").as_array().size(), 2u);
    EXPECT_EQ(result.at("duration"), 3.5);
    EXPECT_EQ(result.at("transcription_info").at("language"), "en");
    EXPECT_EQ(result.at("vtt"), "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello there.\n\n00:01:01.500 --> 01:01:02.004\nBye.\n\n");
  }
}

TEST_F(SpeechTest, AClipComesInManyForms) {
  const http::Headers json{{"content-type", "application/json"}};
  EXPECT_EQ(run("@cf/openai/whisper", R"({"audio":[82,73,70,70]})", json).status, 200);
  EXPECT_EQ(run("@cf/openai/whisper-large-v3-turbo", R"({"audio":"UklGRg==","language":"de","beam_size":2})", json).status, 200);
  EXPECT_EQ(run("@cf/openai/whisper-large-v3-turbo", R"({"audio":{"body":"data:audio/wav;base64,UklGRg","contentType":"audio/wav"}})", json).status, 200);
  EXPECT_EQ(run("@cf/openai/whisper?language=fr&beam_size=3&vad_filter=true", "RIFF", {{"content-type", "audio/wav"}}).status, 200);
  EXPECT_EQ(form("/client/v4/accounts/a/ai/run/@cf/openai/whisper", {{"task", "translate"}}).status, 200);
  EXPECT_EQ(post("/run?version=3&userInputs=%7B%22language%22%3A%22en%22%7D", "RIFF", {{"content-type", "audio/mpeg"}, {"cf-consn-model-id", "@cf/openai/whisper"}}).status, 200);
  EXPECT_EQ(post("/run?version=3", R"({"inputs":{"audio":{"0":82,"1":73,"2":70,"3":70}}})", {{"content-type", "application/json"}, {"cf-consn-model-id", "@cf/openai/whisper"}}).status, 200);
  const auto requests = service_.requests();
  ASSERT_EQ(requests.size(), 7u);
  for (const auto& request : requests) EXPECT_EQ(request.payload.view().substr(0, 4), "RIFF");
  EXPECT_EQ(requests[1].params.at("language"), "de");
  EXPECT_EQ(requests[1].params.at("beam_size"), 2);
  EXPECT_EQ(requests[3].params, json::parse(R"({"language":"fr","vad_filter":true,"beam_size":3})"));
  EXPECT_EQ(requests[4].params.at("task"), "translate");
  EXPECT_EQ(requests[4].payload.view(), "RIFF\r\n--b1\r\n");
  EXPECT_EQ(requests[5].params.at("language"), "en");
}

TEST_F(SpeechTest, WhatIsWrongIsNamed) {
  const http::Headers json{{"content-type", "application/json"}};
  const std::pair<const char*, const char*> bad[] = {
      {R"({})", "audio"}, {R"({"audio":[]})", "empty"}, {R"({"audio":"*not base64*"})", "not base64"}, {R"({"audio":7})", "/audio"}, {R"({"audio":{}})", "body"},
      {R"({"audio":"UklGRg==","beam_size":0})", "'/beam_size' must be >= 1"}, {R"({"audio":"UklGRg==","task":"sing"})", "/task"},
      {R"({"audio":"UklGRg==","language":5})", "/language"}, {R"({"audio":[300]})", "audio"}, {R"([1])", "/"}};
  for (const auto& [body, why] : bad) {
    const Answer answer = run("@cf/openai/whisper", body, json);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.json().at("errors").at(0).at("code"), 5006) << body;
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
  }
  EXPECT_TRUE(service_.requests().empty());
}

// As published examples send it to env.AI: the answer is that JSON.
TEST_F(SpeechTest, ANativeAnswerIsJsonAlready) {
  const http::Headers json{{"content-type", "application/json"}};
  for (const char* format : {"json", "verbose_json"}) {
    const Answer answer = run("@cf/openai/whisper", fmt::format(R"({{"audio":"UklGRg==","response_format":"{}"}})", format), json);
    EXPECT_EQ(answer.status, 200) << answer.body;
  }
  const Answer answer = run("@cf/openai/whisper", R"({"audio":"UklGRg==","response_format":"srt"})", json);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("/response_format"), std::string::npos) << answer.body;
}

TEST_F(SpeechTest, OpenAiFormats) {
  const std::pair<std::string, std::string> model{"model", "whisper-1"};
  Answer answer = form("/v1/audio/transcriptions", {model});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json(), json::parse(R"({"text":"Hello there. Bye.","usage":{"type":"duration","seconds":4}})"));
  answer = form("/v1/audio/transcriptions", {model, {"response_format", "text"}});
  EXPECT_EQ(answer.body, "Hello there. Bye.\n");
  EXPECT_EQ(answer.header("content-type"), "text/plain; charset=utf-8");
  answer = form("/v1/audio/transcriptions", {model, {"response_format", "srt"}});
  EXPECT_EQ(answer.body, "1\n00:00:00,000 --> 00:00:01,250\nHello there.\n\n2\n00:01:01,500 --> 01:01:02,004\nBye.\n\n");
  EXPECT_TRUE(form("/v1/audio/transcriptions", {model, {"response_format", "vtt"}}).body.starts_with("WEBVTT\n"));
  answer = form("/v1/audio/translations", {model, {"response_format", "verbose_json"}, {"prompt", "Names: Ann."}, {"temperature", "0.3"}, {"timestamp_granularities[]", "word"}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json().at("task"), "translate");
  EXPECT_EQ(answer.json().at("language"), "english");
  EXPECT_EQ(answer.json().at("words").as_array().size(), 3u);
  EXPECT_FALSE(answer.json().as_object().contains("segments"));
  EXPECT_EQ(service_.requests().back().params, json::parse(R"({"task":"translate","initial_prompt":"Names: Ann.","temperature":0.3})"));
}

TEST_F(SpeechTest, FormsAndQueriesWriteValuesOut) {
  const std::pair<std::string, std::string> model{"model", "whisper-1"};
  for (const char* yes : {"true", "True", "TRUE", "1", "on", "yes"}) {
    EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"stream", yes}}).header("content-type"), "text/event-stream") << yes;
    EXPECT_EQ(run(fmt::format("@cf/openai/whisper?vad_filter={}&beam_size=1", yes), "RIFF", {{"content-type", "audio/wav"}}).status, 200) << yes;
    EXPECT_EQ(service_.requests().back().params, json::parse(R"({"vad_filter":true,"beam_size":1})")) << yes;
  }
  for (const char* no : {"false", "False", "0", "off", "no", ""})
    EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"stream", no}}).header("content-type"), "application/json") << no;
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"stream", "maybe"}}).status, 400);
  // Parameters of the native route are taken by OpenAI's, too.
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"temperature", "0.20"}, {"beam_size", "2"}, {"vad_filter", "on"}, {"prompt", "1984"}}).status, 200);
  EXPECT_EQ(service_.requests().back().params, json::parse(R"({"task":"transcribe","temperature":0.2,"beam_size":2,"vad_filter":true,"initial_prompt":"1984"})"));
  EXPECT_EQ(form("/client/v4/accounts/a/ai/run/@cf/openai/whisper", {{"beam_size", "3"}, {"initial_prompt", "42"}, {"condition_on_previous_text", "False"}}).status, 200);
  EXPECT_EQ(service_.requests().back().params, json::parse(R"({"beam_size":3,"initial_prompt":"42","condition_on_previous_text":false})"));
  for (const char* wrong : {"2.5", "two", "1e99", "nan"}) EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"beam_size", wrong}}).status, 400) << wrong;
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"language", "en"}, {"language", "de"}}).status, 400) << "a field sent twice";
}

TEST_F(SpeechTest, GranularitiesAreMetOrRefused) {
  const std::pair<std::string, std::string> model{"model", "whisper-1"}, verbose{"response_format", "verbose_json"};
  using Fields = std::vector<std::pair<std::string, std::string>>;
  for (const Fields& both : {Fields{{"timestamp_granularities[0]", "word"}, {"timestamp_granularities[1]", "segment"}},
                             Fields{{"timestamp_granularities[]", "word"}, {"timestamp_granularities[]", "segment"}},
                             Fields{{"timestamp_granularities", "word"}, {"timestamp_granularities", "segment"}},
                             Fields{{"timestamp_granularities", "word,segment"}}, Fields{{"timestamp_granularities", R"(["word","segment"])"}}}) {
    Fields fields{model, verbose};
    fields.insert(fields.end(), both.begin(), both.end());
    const json::value body = form("/v1/audio/transcriptions", fields).json();
    EXPECT_EQ(body.at("words").as_array().size(), 3u) << both.front().first;
    EXPECT_EQ(body.at("segments").as_array().size(), 2u) << both.front().first;
  }
  for (const char* format : {"json", "text"})
    for (const char* item : {"word", "segment"})
      EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"response_format", format}, {"timestamp_granularities[]", item}}).status, 400) << format << item;
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"response_format", "srt"}, {"timestamp_granularities[]", "word"}}).status, 400);
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"response_format", "srt"}, {"timestamp_granularities[]", "segment"}}).status, 200);
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, verbose, {"timestamp_granularities[]", "line"}}).status, 400);
}

TEST(Languages, TagsAndNamesAreWhispersCodes) {
  for (const auto& [text, code] : {std::pair{"en", "en"}, {"EN", "en"}, {"en-US", "en"}, {"en_GB", "en"}, {"en_US.UTF-8", "en"}, {"English", "en"}, {" english ", "en"},
                                   {"eng", "en"}, {"zh-Hans-CN", "zh"}, {"zh-yue-HK", "yue"}, {"Mandarin", "zh"}, {"iw", "he"}, {"nb-NO", "no"}, {"fil", "tl"},
                                   {"pt-BR", "pt"}, {"haw", "haw"}, {"haitian creole", "ht"}, {"deu", "de"}, {"jv", "jw"}})
    EXPECT_EQ(language_code(text), code) << text;
  for (const char* text : {"english teacher", "xx", "xx-US", "en-", "en--US", "e", "klingon", "english-US", "en-waytoolongsubtag", "en/US"})
    EXPECT_EQ(language_code(text), std::nullopt) << text;
  for (const char* text : {"", " ", "auto", "Auto"}) EXPECT_TRUE(means_detection(text)) << text;
}

TEST_F(SpeechTest, LanguagesReachTheModelAsCodes) {
  const std::pair<std::string, std::string> model{"model", "whisper-1"};
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"language", "de-DE"}}).status, 200);
  EXPECT_EQ(service_.requests().back().params.at("language"), "de");
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"language", ""}}).status, 200);
  EXPECT_FALSE(service_.requests().back().params.contains("language"));
  EXPECT_EQ(form("/v1/audio/translations", {model, {"language", "French"}}).status, 200);
  EXPECT_EQ(service_.requests().back().params.at("language"), "fr");
  const Answer answer = form("/v1/audio/transcriptions", {model, {"language", "english teacher"}});
  EXPECT_EQ(answer.json().at("error").at("param"), "language");
  EXPECT_EQ(run("@cf/openai/whisper-large-v3-turbo", R"({"audio":"UklGRg==","language":"EN"})").status, 200);
  EXPECT_EQ(service_.requests().back().params.at("language"), "en");
}

TEST_F(SpeechTest, BuffersOfNodeAreClipsAndAddressesAreRefused) {
  EXPECT_EQ(run("@cf/openai/whisper", R"({"audio":{"type":"Buffer","data":[82,73,70,70]}})").status, 200);
  EXPECT_EQ(service_.requests().back().payload.view(), "RIFF");
  const Answer answer = run("@cf/openai/whisper", R"({"audio":"https://example.com/a.wav"})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("addresses are not fetched"), std::string::npos);
}

TEST_F(SpeechTest, OpenAiErrors) {
  const std::pair<std::string, std::string> model{"model", "@cf/openai/whisper"};
  EXPECT_EQ(form("/v1/audio/transcriptions", {}).status, 400);
  EXPECT_EQ(form("/v1/audio/transcriptions", {model}, false).status, 400);
  EXPECT_EQ(form("/v1/audio/transcriptions", {{"model", "@cf/meta/llama-3.2-1b-instruct"}}).status, 404);
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"response_format", "xml"}}).status, 400);
  EXPECT_EQ(form("/v1/audio/transcriptions", {model, {"temperature", "hot"}}).status, 400);
  EXPECT_EQ(post("/v1/audio/transcriptions", R"({"model":"whisper-1"})", {{"content-type", "application/json"}}).status, 400);
  EXPECT_EQ(post("/v1/audio/transcriptions", "--b0\r\nContent-Dis", {{"content-type", "multipart/form-data; boundary=b0"}}).status, 400);
  EXPECT_TRUE(service_.requests().empty());
}

TEST(Base64, DecodesWhatIsAndRefusesWhatIsNot) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("UklGRg=="), "RIFF");
  EXPECT_EQ(decode_base64("Ukl\nGRg"), "RIFF");
  EXPECT_EQ(decode_base64("-_-_"), decode_base64("+/+/"));
  for (const char* text : {"U", "UklGR", "Ukl!", "=", "Uk=lGRg", "UklG====", "Zg="}) EXPECT_FALSE(decode_base64(text)) << text;
}

TEST(Multipart, TakesFormsApart) {
  const std::string body = "preamble\r\n--x y\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--x y\r\nContent-Disposition: form-data; name=\"f\"; filename=\"q\"\r\n\r\n\r\n--x y--";
  auto parts = parse_multipart("multipart/form-data; charset=utf-8; boundary=\"x y\"", body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[0].name, "a");
  EXPECT_EQ((*parts)[0].data, "1");
  EXPECT_FALSE((*parts)[0].file);
  EXPECT_TRUE((*parts)[1].file);
  EXPECT_EQ((*parts)[1].data, "");
  EXPECT_TRUE(parse_multipart("multipart/form-data", "--zz\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--zz--"));  // no boundary told
  for (size_t cut = 0; cut + 2 < body.size(); ++cut) EXPECT_FALSE(parse_multipart("multipart/form-data; boundary=\"x y\"", body.substr(0, cut))) << cut;
}

}  // namespace
}  // namespace verge::api::testing
