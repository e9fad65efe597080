#include "http/content_coding.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "support/http_limits.h"

namespace verge::http {
namespace {

constexpr std::string_view kDamaged = "the body is damaged: it is not what its Content-Encoding says, or it ends early";
constexpr std::string_view kBomb = "the body unpacks to too many times its size: send it without a Content-Encoding";

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::optional<Coding> coding_of(std::string_view name) {
  struct Name {
    std::string_view text;
    Coding coding;
  };
  static constexpr std::array kNames = {Name{"gzip", Coding::Gzip}, Name{"x-gzip", Coding::Gzip},
                                        Name{"deflate", Coding::Deflate}, Name{"br", Coding::Brotli},
                                        Name{"zstd", Coding::Zstd}};
  for (const Name& one : kNames)
    if (equal_names(one.text, name)) return one.coding;
  return std::nullopt;
}

// Room for `most` more bytes behind `out`; `used` of them stay.
class Tail {
 public:
  Tail(std::string& out, size_t most) : out_(out), before_(out.size()) { out_.resize(before_ + most); }
  ~Tail() { out_.resize(before_ + used); }
  char* data() { return out_.data() + before_; }
  size_t used = 0;

 private:
  std::string& out_;
  size_t before_;
};

// zlib's window bits: gzip's members, zlib's stream, or the bare one that some clients call deflate.
int window_bits(Coding coding, std::string_view body) {
  if (coding == Coding::Gzip) return 16 + MAX_WBITS;
  if (body.size() < 2) return MAX_WBITS;
  const unsigned first = static_cast<unsigned char>(body[0]), second = static_cast<unsigned char>(body[1]);
  const bool zlib = (first & 0x0f) == Z_DEFLATED && (first * 256 + second) % 31 == 0;
  return zlib ? MAX_WBITS : -MAX_WBITS;
}

class Inflater : public Unpacker {
 public:
  Inflater(Coding coding, std::string_view body) : members_(coding == Coding::Gzip) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream_.avail_in = static_cast<uInt>(body.size());
    good_ = inflateInit2(&stream_, window_bits(coding, body)) == Z_OK;
  }
  ~Inflater() override { inflateEnd(&stream_); }
  State step(size_t most, std::string& out) override {
    if (!good_) return State::Damaged;
    Tail tail(out, most);
    stream_.next_out = reinterpret_cast<Bytef*>(tail.data());
    stream_.avail_out = static_cast<uInt>(most);
    while (true) {
      const int said = inflate(&stream_, Z_NO_FLUSH);
      tail.used = most - stream_.avail_out;
      if (said == Z_STREAM_END) {
        if (stream_.avail_in == 0) return State::Done;
        if (!members_ || inflateReset(&stream_) != Z_OK) return State::Damaged;
        continue;
      }
      if (said != Z_OK && said != Z_BUF_ERROR) return State::Damaged;
      if (stream_.avail_out == 0) return State::More;
      if (stream_.avail_in == 0 || said == Z_BUF_ERROR) return State::Damaged;
    }
  }

 private:
  z_stream stream_{};
  bool members_, good_;
};

class BrotliUnpacker : public Unpacker {
 public:
  explicit BrotliUnpacker(std::string_view body)
      : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr), BrotliDecoderDestroyInstance),
        next_(reinterpret_cast<const uint8_t*>(body.data())),
        left_(body.size()) {}
  State step(size_t most, std::string& out) override {
    Tail tail(out, most);
    auto* to = reinterpret_cast<uint8_t*>(tail.data());
    size_t room = most;
    const auto said = BrotliDecoderDecompressStream(state_.get(), &left_, &next_, &room, &to, nullptr);
    tail.used = most - room;
    if (said == BROTLI_DECODER_RESULT_SUCCESS) return left_ == 0 ? State::Done : State::Damaged;
    return said == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT ? State::More : State::Damaged;
  }

 private:
  std::unique_ptr<BrotliDecoderState, decltype(&BrotliDecoderDestroyInstance)> state_;
  const uint8_t* next_;
  size_t left_;
};

class ZstdUnpacker : public Unpacker {
 public:
  explicit ZstdUnpacker(std::string_view body) : state_(ZSTD_createDStream(), ZSTD_freeDStream), in_{body.data(), body.size(), 0} {
    ZSTD_DCtx_setParameter(state_.get(), ZSTD_d_windowLogMax, limits::kZstdWindowLog);
  }
  State step(size_t most, std::string& out) override {
    Tail tail(out, most);
    ZSTD_outBuffer to{tail.data(), most, 0};
    while (true) {
      const size_t in_before = in_.pos, out_before = to.pos;
      const size_t left = ZSTD_decompressStream(state_.get(), &to, &in_);
      tail.used = to.pos;
      if (ZSTD_isError(left)) return State::Damaged;
      if (left == 0 && in_.pos == in_.size) return State::Done;
      if (to.pos == to.size) return State::More;
      if (in_.pos == in_before && to.pos == out_before) return State::Damaged;  // it ends early
    }
  }

 private:
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> state_;
  ZSTD_inBuffer in_;
};

std::unique_ptr<Unpacker> make(Coding coding, std::string_view body) {
  switch (coding) {
    case Coding::Gzip:
    case Coding::Deflate: return std::make_unique<Inflater>(coding, body);
    case Coding::Brotli: return std::make_unique<BrotliUnpacker>(body);
    case Coding::Zstd: return std::make_unique<ZstdUnpacker>(body);
  }
  return nullptr;
}

}  // namespace

Result<std::vector<Coding>> parse_codings(std::string_view list) {
  std::vector<Coding> codings;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view name = trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (name.empty() || equal_names(name, "identity")) continue;
    const auto coding = coding_of(name);
    if (!coding) return fail(Code::InvalidInput, "the Content-Encoding '{:.64}' is unknown here: send {}, or none", name, kCodingsTaken);
    if (codings.size() == limits::kContentCodings)
      return fail(Code::InvalidInput, "the body has more than {} content codings around each other", limits::kContentCodings);
    codings.push_back(*coding);
  }
  return codings;
}

BodyUnpacker::BodyUnpacker(std::vector<Coding> codings, std::string body, size_t max_bytes)
    : codings_(std::move(codings)), packed_(std::move(body)), wire_bytes_(packed_.size()), max_bytes_(max_bytes) {}
BodyUnpacker::~BodyUnpacker() = default;

BodyUnpacker::State BodyUnpacker::step() {
  if (codings_.empty()) return State::Done;
  if (!unpacker_) unpacker_ = make(codings_.back(), packed_);
  const auto said = unpacker_->step(limits::kUnpackStep, unpacked_);
  if (said == Unpacker::State::Damaged) {
    why_ = kDamaged;
    return State::Damaged;
  }
  if (unpacked_.size() > max_bytes_) return State::TooLarge;
  if (unpacked_.size() > limits::kUnpackedFree && unpacked_.size() / limits::kUnpackedRatio > wire_bytes_) {
    why_ = kBomb;
    return State::Damaged;
  }
  if (said == Unpacker::State::More) return State::More;
  unpacker_.reset();
  packed_ = std::exchange(unpacked_, std::string());
  codings_.pop_back();
  return codings_.empty() ? State::Done : State::More;
}

size_t BodyUnpacker::held_bytes() const {
  return packed_.size() + unpacked_.size() + (codings_.empty() ? 0 : limits::kUnpackerBytes);
}

}  // namespace verge::http
