// Bytes before JSON: marks, encodings, content codings, content types and slashes, as clients send them on every wire.
#include "api/routes.h"
#include "api/text_body.h"
#include "tests/api/server.h"
#include "tests/deflated.h"

namespace verge::api::testing {
namespace {

using namespace std::string_literals;
using verge::testing::gzip;

std::string wide(std::string_view ascii, size_t unit, bool little) {
  std::string out;
  for (char c : ascii) {
    std::string one(unit, '\0');
    (little ? one.front() : one.back()) = c;
    out += one;
  }
  return out;
}

struct Wire {
  std::string name, path, body;
  http::Headers headers;
};

class WireTest : public ApiTest {
 protected:
  // A prompt on each wire that takes JSON.
  static std::vector<Wire> wires(const std::string& prompt) {
    const http::Headers json{{"content-type", "application/json"}};
    return {{"native", rest(), R"({"prompt":")" + prompt + R"("})", json},
            {"universal", "/client/v4/accounts/acc/ai/run", R"({"model":")"s + kModel + R"(","input":{"prompt":")" + prompt + R"("}})", json},
            {"chat", "/v1/chat/completions", R"({"model":")"s + kModel + R"(","messages":[{"role":"user","content":")" + prompt + R"("}]})", json},
            {"completions", "/client/v4/accounts/acc/ai/v1/completions", R"({"model":")"s + kModel + R"(","prompt":")" + prompt + R"("})", json},
            {"binding", "/run?version=3", R"({"inputs":{"prompt":")" + prompt + R"("},"options":{}})",
             {{"content-type", "application/json"}, {"cf-consn-model-id", kModel}}}};
  }
  // What the model was asked last.
  std::string asked() {
    const auto requests = service_.requests();
    if (requests.empty()) return "";
    const json::object& params = requests.back().params;
    if (auto prompt = get_string(params, "prompt")) return *prompt;
    return std::string(params.at("messages").at(0).at("content").as_string());
  }
};

TEST_F(WireTest, MarksAndUnicodeEncodings) {
  for (const Wire& wire : wires("hi")) {
    for (const std::string& body :
         {"\xEF\xBB\xBF" + wire.body, "\xEF\xBB\xBF\xEF\xBB\xBF" + wire.body, "\xFF\xFE" + wide(wire.body, 2, true), "\xFE\xFF" + wide(wire.body, 2, false),
          wide(wire.body, 2, true), wide(wire.body, 2, false), "\xFF\xFE\0\0"s + wide(wire.body, 4, true), "\0\0\xFE\xFF"s + wide(wire.body, 4, false),
          wide(wire.body, 4, true), wide(wire.body, 4, false)}) {
      const Answer answer = post(wire.path, body, wire.headers);
      EXPECT_EQ(answer.status, 200) << wire.name << " of " << body.size() << " bytes: " << answer.body;
      EXPECT_EQ(asked(), "hi");
    }
    const Answer half = post(wire.path, wide(wire.body, 2, true) + "x", wire.headers);
    EXPECT_EQ(half.status, 400);
    EXPECT_NE(half.body.find("UTF-16LE"), std::string::npos) << half.body;
  }
}

TEST_F(WireTest, Charsets) {
  for (const auto& [type, cafe] :
       {std::pair{"application/json; charset=iso-8859-1", "caf\xE9"}, std::pair{"Application/JSON;Charset=\"Latin1\"", "caf\xE9"},
        std::pair{"application/json; charset=windows-1252", "caf\xE9"}, std::pair{"application/json;x=1; charset=UTF8", "caf\xC3\xA9"},
        std::pair{"application/json; charset=", "caf\xC3\xA9"}, std::pair{"text/plain;charset=utf-8", "caf\xC3\xA9"}, std::pair{"", "caf\xC3\xA9"},
        std::pair{"APPLICATION/JSON", "caf\xC3\xA9"}, std::pair{"application/x-www-form-urlencoded", "caf\xC3\xA9"}}) {
    for (Wire& wire : wires(cafe)) {
      wire.headers.front().value = type;
      if (*type == '\0') wire.headers.erase(wire.headers.begin());
      EXPECT_EQ(post(wire.path, wire.body, wire.headers).status, 200) << wire.name << " as " << type;
      EXPECT_EQ(asked(), "café") << type;
    }
  }
  for (Wire& wire : wires("caf\xE9")) {
    EXPECT_NE(post(wire.path, wire.body, wire.headers).body.find("not UTF-8 at byte"), std::string::npos) << wire.name;
    for (const char* charset : {"klingon", "utf-7", "../x"}) {
      wire.headers.front().value = "application/json; charset="s + charset;
      const Answer answer = post(wire.path, wire.body, wire.headers);
      EXPECT_EQ(answer.status, 415) << wire.name;
      EXPECT_NE(answer.body.find(charset), std::string::npos) << answer.body;
    }
  }
}

TEST_F(WireTest, FormsAreRefusedByName) {
  for (const auto& [type, body] : {std::pair{"application/x-www-form-urlencoded", "prompt=hi&max_tokens=2"},
                                   std::pair{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nhi\r\n--b--\r\n"}}) {
    const Answer answer = post(rest(), body, {{"content-type", type}});
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find("form"), std::string::npos) << answer.body;
  }
}

TEST_F(WireTest, HalvesOfSurrogatePairs) {
  for (const auto& [sent, read] : {std::pair{R"(nice \ud83d)", "nice \uFFFD"}, std::pair{R"(\ude00\ud83d)", "\uFFFD\uFFFD"}, std::pair{R"(\ud83d\ude00)", "\U0001F600"}}) {
    for (const Wire& wire : wires(sent)) {
      const Answer answer = post(wire.path, wire.body, wire.headers);
      EXPECT_EQ(answer.status, 200) << wire.name << ": " << answer.body;
      EXPECT_EQ(asked(), read) << wire.name;
    }
  }
}

TEST_F(WireTest, ContentCodings) {
  for (const Wire& wire : wires("hi")) {
    http::Headers headers = wire.headers;
    headers.push_back({"Content-Encoding", "gzip"});
    EXPECT_EQ(post(wire.path, gzip(wire.body), headers).status, 200) << wire.name;
    headers.push_back({"content-encoding", "Identity, X-GZIP"});
    EXPECT_EQ(post(wire.path, gzip(gzip(wire.body)), headers).status, 200) << wire.name;
    EXPECT_EQ(asked(), "hi");
    // Codings outside, then the charset.
    headers = wire.headers;
    headers.push_back({"Content-Encoding", "gzip"});
    EXPECT_EQ(post(wire.path, gzip("\xFF\xFE" + wide(wire.body, 2, true)), headers).status, 200) << wire.name;
    const Answer damaged = post(wire.path, wire.body, headers);
    EXPECT_EQ(damaged.status, 400) << wire.name;
    EXPECT_NE(damaged.body.find("Content-Encoding"), std::string::npos) << damaged.body;
    headers.back().value = "compress";
    const Answer unknown = post(wire.path, wire.body, headers);
    EXPECT_EQ(unknown.status, 415) << wire.name;
    EXPECT_EQ(unknown.header("accept-encoding"), "gzip, deflate, br, zstd");
    EXPECT_NE(unknown.body.find("compress"), std::string::npos) << unknown.body;
  }
  // The route's limit counts for what comes out: 10 MB of text; what is larger may be so by its own weight only.
  const http::Headers packed{{"content-type", "application/json"}, {"content-encoding", "gzip"}, {"cf-consn-model-id", kModel}};
  const std::string bomb = gzip(std::string(32 << 20, ' '));
  EXPECT_EQ(post("/v1/chat/completions", bomb, packed).status, 413);
  EXPECT_EQ(post("/run?version=3", bomb, packed).status, 400);
  // Inside Miniflare's wrapping, and for bytes that are no JSON.
  const http::Headers wrapped{{"MF-URL", "https://workers-binding.ai/run?version=3"}, {"MF-Header-cf-consn-model-id", kModel}, {"MF-Header-content-encoding", "gzip"}};
  EXPECT_EQ(post("/", gzip(R"({"inputs":{"prompt":"hi"}})"), wrapped).status, 200);
  post(rest("@cf/openai/whisper"), gzip("RIFF"), {{"content-type", "audio/wav"}, {"content-encoding", "gzip"}});
  EXPECT_EQ(service_.requests().back().payload.view(), "RIFF");
}

TEST_F(WireTest, SlashesThatABaseUrlDoubles) {
  for (const Wire& wire : wires("hi")) {
    const size_t end = std::min(wire.path.find('?'), wire.path.size());
    const std::string path = wire.path.substr(0, end), query = wire.path.substr(end);
    for (const std::string& sent : {"/" + path, path + "/", "//" + path + "//", "/" + path + "/"}) {
      EXPECT_EQ(post(sent + query, wire.body, wire.headers).status, 200) << sent;
    }
  }
  EXPECT_EQ(get("/v1//models/").status, 200);
  EXPECT_EQ(get("//healthz/").status, 200);
  EXPECT_EQ(get("/v1/models//@cf/meta//llama-3.2-1b-instruct/").status, 200);
  EXPECT_EQ(get("/v1/modelsx/").status, 400);
}

TEST_F(WireTest, FormsAndTheirParts) {
  const auto form = [&](const std::string& field_header, const std::string& field, const std::string& more = "", const std::string& file_header = "", const std::string& file = "RIFF") {
    const std::string body = more + "--b0\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\xEF\xBB\xBF@cf/openai/whisper\r\n--b0\r\nContent-Disposition: form-data; name=\"prompt\"\r\n" +
                             field_header + "\r\n" + field + "\r\n--b0\r\ncontent-disposition: Form-Data; name=file; filename=a.wav\r\n" + file_header + "\r\n" + file + "\r\n--b0--\r\n";
    return post("/v1/audio/transcriptions", body, {{"content-type", "Multipart/Form-Data; Boundary=b0"}});
  };
  const auto prompt = [&] { return get_string(service_.requests().back().params, "initial_prompt").value_or(""); };
  form("", "\xEF\xBB\xBF" "caf\xC3\xA9");
  EXPECT_EQ(prompt(), "café");
  form("Content-Type: text/plain; charset=ISO-8859-1\r\n", "caf\xE9");
  EXPECT_EQ(prompt(), "café");
  form("Content-Type: text/plain; charset=UTF-16\r\n", "\xFF\xFE" + wide("cafe", 2, true));
  EXPECT_EQ(prompt(), "cafe");
  form("", "caf\xE9", "--b0\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\nlatin1\r\n");
  EXPECT_EQ(prompt(), "café");
  form("Content-Transfer-Encoding: quoted-printable\r\n", "caf=C3=A9 =\r\ncr=3D");
  EXPECT_EQ(prompt(), "café cr=");
  form("", "x", "", "Content-Transfer-Encoding: BASE64\r\n", "UklG\r\nRg==");
  EXPECT_EQ(service_.requests().back().payload.view(), "RIFF");
  const size_t asked = service_.requests().size();
  const Answer latin = form("", "caf\xE9");
  EXPECT_EQ(latin.status, 400);
  EXPECT_NE(latin.body.find("'/prompt' is not UTF-8 at byte 3"), std::string::npos) << latin.body;
  EXPECT_EQ(form("Content-Type: text/plain; charset=klingon\r\n", "caf\xE9").status, 415);
  EXPECT_EQ(form("", "x", "", "Content-Encoding: gzip\r\n").status, 415);
  EXPECT_EQ(form("", "x", "", "Content-Transfer-Encoding: uuencode\r\n").status, 415);
  EXPECT_EQ(form("", "x", "", "Content-Transfer-Encoding: base64\r\n", "!").status, 400);
  EXPECT_EQ(service_.requests().size(), asked);
}

TEST(TextBody, RawFilesAreNotTakenForJson) {
  for (const std::string& bytes : {"\x89PNG\r\n"s, "\xFF\xD8\xFF\xE0"s, "\xFF\xFB\x90{"s, "\0\0\0\x18" "ftyp{"s, "\xFF\xFE{x"s, "RIFF{"s, ""s, "\xFF\xFE"s, "\0"s})
    EXPECT_FALSE(looks_like_json(bytes));
  for (const std::string& text : {"{}"s, " \n[1]"s, "\xEF\xBB\xBF {"s, "\xFF\xFE" + wide(" {", 2, true), wide("\n{}", 4, false)}) EXPECT_TRUE(looks_like_json(text));
}

class HostTest : public ApiTest {
 protected:
  int status(std::string_view host, std::string_view path, std::string_view method = "GET", const std::string& more = "") {
    if (!api_) start();
    Connection connection(server_->port());
    connection.send(fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}Connection: close\r\n\r\n", method, path, host, more));
    return connection.read_answer().status;
  }
};

TEST_F(HostTest, OthersNamesAreRefusedOnEveryRoute) {
  for (const Route& route : routes()) {
    std::string path(route.pattern);
    for (size_t at = path.find('{'); at != path.npos; at = path.find('{')) path.replace(at, path.find('}') - at + 1, "x");
    EXPECT_EQ(status("rebound.example:8780", path, route.method), 403) << route.method << " " << path;
    EXPECT_NE(status("localhost:8780", path, route.method), 403) << route.method << " " << path;
  }
  for (const char* path : {"/", "/nowhere", "/page.js", "http://rebound.example/v1/models"}) EXPECT_EQ(status("rebound.example", path), 403) << path;
  EXPECT_EQ(status("localhost", "http://rebound.example/v1/models"), 403);
  EXPECT_EQ(status("rebound.example", "/v1/models", "OPTIONS"), 403);
  EXPECT_EQ(status("rebound.example", "http://localhost/v1/models"), 200);
  EXPECT_EQ(status("rebound.example", "/", "POST", "MF-URL: https://workers-binding.ai/run\r\n"), 403);
  for (const char* host : {"127.0.0.1", "[::1]:1", "x.localhost"}) EXPECT_EQ(status(host, "/v1/models"), 200) << host;
}

// http://verge:8780 of a compose file: programs may, pages may not.
TEST_F(HostTest, ABareNameFromAProgram) {
  for (const char* host : {"verge", "VERGE:8780", "nas."}) {
    EXPECT_EQ(status(host, "/v1/models"), 200) << host;
    EXPECT_EQ(status(host, "/v1/models", "GET", "Accept-Language: en\r\n"), 403) << host;
    EXPECT_EQ(status(host, "/v1/models", "GET", "Sec-Fetch-Site: none\r\n"), 403) << host;
  }
  EXPECT_EQ(status("verge", "/run", "POST", "Origin: http://verge:8780\r\n"), 403);
}

TEST_F(HostTest, TheNameThatTheBindingSends) {
  EXPECT_EQ(status("workers-binding.ai", "/ai-api/models/search"), 200);
  EXPECT_EQ(status("workers-binding.ai", "/run", "POST"), 400);  // taken, and has no model
  EXPECT_EQ(status("workers-binding.ai", "/v1/models"), 403);
  EXPECT_EQ(status("workers-binding.ai", "/metrics"), 403);
  // Where somebody forges the name's address, a page has it: browsers say so.
  EXPECT_EQ(status("workers-binding.ai", "/run", "POST", "Origin: http://workers-binding.ai:8780\r\n"), 403);
  EXPECT_EQ(status("workers-binding.ai", "/ai-api/models/search", "GET", "Accept-Language: en\r\n"), 403);
}

TEST_F(HostTest, ANameThatIsGivenIsTheMachines) {
  Options options;
  options.hosts = {"verge.lan"};
  start(options);
  EXPECT_EQ(status("Verge.LAN.:80", "/v1/models"), 200);
  EXPECT_EQ(status("rebound.example", "/v1/models"), 403);
}

}  // namespace
}  // namespace verge::api::testing
