#include "engine/models/hibari/convert.h"

#include <zlib.h>

#include <algorithm>

#include "engine/formats/onnx.h"
#include "engine/formats/safetensors_writer.h"
#include "support/json.h"

namespace verge::engine {
namespace {

constexpr size_t kUnpackedBytes = 64 << 20;
constexpr size_t kJsonLevels = 8;
constexpr const char* kProjections[] = {"q", "k", "v"};

constexpr std::string_view kFiles[] = {
    "hibari.onnx",    "oov.onnx",   "oov.json",
    "tagger.json.gz", "vocab.json", "lexicon_us_gold.json.gz",
    "normalize.json", "tokenizer_exceptions.json", "lexicon_us_silver.json.gz",
};

Result<std::string> inflated(std::string_view bytes, const std::string& name) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) {
    return fail(Code::LoadFailed, "{}: no memory to unpack it", name);
  }
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int rc = Z_OK;
  while (rc == Z_OK && out.size() < kUnpackedBytes) {
    const size_t before = out.size();
    out.resize(before + (1 << 20));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = 1 << 20;
    rc = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (rc != Z_STREAM_END) return fail(Code::LoadFailed, "{}: damaged, or larger than 64 MB", name);
  return out;
}

using Tensors = std::map<std::string, FloatTensor, std::less<>>;

// Rows [first, first + rows) of a matrix.
FloatTensor rows_of(const LinearWeight& weight, int64_t first, int64_t rows) {
  const auto begin = weight.values.begin() + first * weight.in;
  return {{rows, weight.in}, {begin, begin + rows * weight.in}};
}

// Weights of linear layers by the names that PyTorch gave them. A projection of queries, keys and
// values together is cut into three; "gamma" of a ConvNeXt block goes into the product before it.
Result<> add_graph(const OnnxGraph& graph, const std::string& prefix, Tensors* to) {
  VERGE_ASSIGN(weights, linear_weights(graph));
  const auto put = [&](const std::string& name, FloatTensor tensor) {
    (*to)[prefix + name] = std::move(tensor);
  };
  for (const auto& [name, constant] : graph.constants) {
    const bool named = name.ends_with(".weight") || name.ends_with(".bias") ||
                       name.ends_with(".pos") || name.ends_with("in_proj_bias");
    if (!named || constant.type != OnnxTensor::Type::F32) continue;
    if (name.ends_with("in_proj_bias")) {
      const std::vector<float> all = constant.values();
      const auto third = static_cast<int64_t>(all.size() / 3);
      const std::string stem = name.substr(0, name.size() - std::string_view("in_proj_bias").size());
      for (int i = 0; i < 3; ++i) {
        put(stem + kProjections[i] + ".bias",
            {{third}, {all.begin() + i * third, all.begin() + (i + 1) * third}});
      }
      continue;
    }
    put(name, {constant.shape, constant.values()});
  }
  for (auto& [bias, weight] : weights) {
    if (bias.ends_with("in_proj_bias")) {
      const std::string stem = bias.substr(0, bias.size() - std::string_view("in_proj_bias").size());
      for (int i = 0; i < 3; ++i) {
        put(stem + kProjections[i] + ".weight",
            rows_of(weight, i * (weight.out / 3), weight.out / 3));
      }
      continue;
    }
    const std::string name = bias.substr(0, bias.size() - std::string_view("bias").size());
    put(name + "weight", {{weight.out, weight.in}, std::move(weight.values)});
  }
  for (const auto& [name, gamma] : graph.constants) {
    if (!name.ends_with(".gamma") || gamma.type != OnnxTensor::Type::F32) continue;
    const std::string stem = prefix + name.substr(0, name.size() - std::string_view("gamma").size());
    const auto weight = to->find(stem + "pw2.weight"), bias = to->find(stem + "pw2.bias");
    const std::vector<float> factors = gamma.values();
    if (weight == to->end() || bias == to->end() || weight->second.shape[0] != gamma.elements() ||
        bias->second.values.size() != factors.size()) {
      return fail(Code::LoadFailed, "the block of '{}' has no second product", name.substr(0, 100));
    }
    const size_t in = static_cast<size_t>(weight->second.shape[1]);
    for (size_t o = 0; o < factors.size(); ++o) {
      bias->second.values[o] *= factors[o];
      for (size_t i = 0; i < in; ++i) weight->second.values[o * in + i] *= factors[o];
    }
  }
  return {};
}

// How often a layer runs: the graph repeats its nodes, the weights are there once.
int64_t uses_of(const OnnxGraph& graph, std::string_view weight) {
  return std::ranges::count_if(graph.nodes, [&](const OnnxNode& node) {
    return std::ranges::find(node.inputs, weight) != node.inputs.end();
  });
}

}  // namespace

std::span<const std::string_view> hibari_package_files() { return kFiles; }

Result<NamedFiles> convert_hibari(const NamedFiles& package) {
  std::map<std::string, std::string, std::less<>> files;
  for (const std::string_view name : kFiles) {
    const auto found = package.find(name);
    if (found == package.end()) return fail(Code::LoadFailed, "{} is missing", name);
    if (!name.ends_with(".gz")) {
      files.emplace(name, found->second);
      continue;
    }
    VERGE_ASSIGN(text, inflated(found->second, found->first));
    files.emplace(name.substr(0, name.size() - 3), std::move(text));
  }
  Tensors tensors;
  VERGE_ASSIGN(voice, parse_onnx(files["hibari.onnx"]));
  VERGE_ASSIGN(spelling, parse_onnx(files["oov.onnx"]));
  VERGE_TRY(add_graph(voice, "", &tensors));
  VERGE_TRY(add_graph(spelling, "spelling.", &tensors));
  const auto letters = parse_json(files["oov.json"], kJsonLevels);
  const json::object* spelled = letters ? letters->if_object() : nullptr;
  if (!spelled) return fail(Code::LoadFailed, "oov.json: no JSON object");
  const json::object config{
      {"model_type", "hibari"},
      {"language", "en-us"},
      {"voice", "heart"},
      {"acoustic_passes", uses_of(voice, "m.text.attn.norm1.weight")},
      {"prosody_passes", uses_of(voice, "pn.text.attn.norm1.weight")},
      {"attention_heads", 2},
      {"spelling_heads", 4},
      {"spelling_slots", get_int(*spelled, "slots").value_or(0)},
      {"sampling_rate", 24000},
  };
  // The tables of the front end, as they are, under one roof.
  std::string front = "{";
  for (const auto& [key, name] :
       {std::pair{"gold", "lexicon_us_gold.json"}, {"silver", "lexicon_us_silver.json"},
        {"tagger", "tagger.json"}, {"normalize", "normalize.json"}, {"spelling", "oov.json"},
        {"special_cases", "tokenizer_exceptions.json"}, {"alphabet", "vocab.json"}}) {
    const std::string& text = files[name];
    const auto parsed = parse_json(text, kJsonLevels);
    if (!parsed || !parsed->is_object()) {
      return fail(Code::LoadFailed, "{}: no JSON object", name);
    }
    front += fmt::format("{}\"{}\":", front.size() > 1 ? "," : "", key);
    front += text;
  }
  front += "}";
  NamedFiles out;
  out["config.json"] = json::serialize(config) + "\n";
  out["model.safetensors"] = write_safetensors(tensors);
  out["front_end.json"] = std::move(front);
  return out;
}

}  // namespace verge::engine
