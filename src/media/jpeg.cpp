// JPEG through libjpeg-turbo: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK. libjpeg
// reports errors through a callback that must not return: ours jumps back here, so nothing with a
// destructor lives in the function that calls the library.
//
// A file that lacks its end marker is read as if it had one, and is truncated only if pixels are
// missing then.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

// after cstdio, which it needs
#include <jpeglib.h>
// after jpeglib.h
#include <jerror.h>

#include "media/decoders.h"
#include "support/limits.h"

namespace verge::media {
namespace {

struct Failure {
  jpeg_error_mgr manager;
  jmp_buf back;
  char message[JMSG_LENGTH_MAX] = "";
  bool ended = false;      // all bytes are read, and an end marker was put behind them
  bool truncated = false;
};

constexpr JOCTET kEndMarker[] = {0xFF, JPEG_EOI};

void on_error(j_common_ptr info) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  info->err->format_message(info, failure->message);
  longjmp(failure->back, 1);
}

// Warnings are damage that libjpeg paints over.
void on_message(j_common_ptr info, int level) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  if (level >= 0) return;
  if (failure->ended && info->err->msg_code == JWRN_HIT_MARKER)
    failure->truncated = true;  // pixels without bits
  ++info->err->num_warnings;
  if (!failure->message[0]) info->err->format_message(info, failure->message);
}

// A progressive file may hold thousands of scans over all pixels, a few bytes each.
void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  auto* failure = reinterpret_cast<Failure*>(info->err);
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  const uint64_t scans = static_cast<uint64_t>(decoder->input_scan_number), pixels = uint64_t{decoder->image_width} * decoder->image_height;
  if (scans <= limits::kJpegScans && scans * pixels <= limits::kJpegScanPixels) return;
  std::snprintf(failure->message, sizeof failure->message, "too many scans for its size");
  longjmp(failure->back, 1);
}

[[noreturn]] void ends_early(j_decompress_ptr info) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  failure->truncated = true;
  longjmp(failure->back, 1);
}

boolean no_more_bytes(j_decompress_ptr info) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  if (failure->ended) ends_early(info);
  failure->ended = true;
  info->src->next_input_byte = kEndMarker;
  info->src->bytes_in_buffer = sizeof kEndMarker;
  return TRUE;
}

void skip_bytes(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<size_t>(count) > info->src->bytes_in_buffer) ends_early(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<size_t>(count);
}

void nothing(j_decompress_ptr) {}

struct Decoder {
  jpeg_decompress_struct info;
  Failure failure;
  jpeg_source_mgr source;
  jpeg_progress_mgr progress;

  void open(std::span<const std::byte> bytes) {
    std::memset(&info, 0, sizeof info);
    std::memset(&source, 0, sizeof source);
    std::memset(&progress, 0, sizeof progress);
    info.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = on_error;
    failure.manager.emit_message = on_message;
    source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source.bytes_in_buffer = bytes.size();
    source.init_source = nothing;
    source.fill_input_buffer = no_more_bytes;
    source.skip_input_data = skip_bytes;
    source.resync_to_restart = jpeg_resync_to_restart;
    source.term_source = nothing;
    progress.progress_monitor = on_progress;
  }
};

bool read_header(Decoder& decoder) {
  if (setjmp(decoder.failure.back)) return false;
  jpeg_create_decompress(&decoder.info);
  decoder.info.src = &decoder.source;
  decoder.info.progress = &decoder.progress;
  jpeg_read_header(&decoder.info, TRUE);
  return true;
}

// Whether a picture of several scans lacks some: of a whole component, or of bits that later scans
// refine.
bool lacks_scans(const jpeg_decompress_struct& info) {
  for (int i = 0; i < info.num_components; ++i) {
    if (!info.comp_info[i].quant_table) return true;
    if (info.progressive_mode && !std::all_of(info.coef_bits[i], info.coef_bits[i] + DCTSIZE2,
                                              [](int bits) { return bits == 0; }))
      return true;
  }
  return info.arith_code;  // its decoder does not tell bits from their absence
}

// CMYK rows go through `row`; RGB ones straight into place.
bool read_pixels(Decoder& decoder, uint8_t* rgb, uint8_t* row, bool cmyk) {
  if (setjmp(decoder.failure.back)) return false;
  jpeg_decompress_struct& info = decoder.info;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&info);
  const size_t stride = static_cast<size_t>(info.output_width) * 3;
  while (info.output_scanline < info.output_height) {
    uint8_t* to = rgb + info.output_scanline * stride;
    JSAMPROW target = cmyk ? row : to;
    if (jpeg_read_scanlines(&info, &target, 1) != 1) return false;
    if (!cmyk) continue;
    for (size_t x = 0; x < info.output_width; ++x) {
      // Adobe writes ink inverted, and so does everyone: 255 is no ink. Pillow's formula, on its inverted values.
      const unsigned k = row[4 * x + 3];
      for (size_t c = 0; c < 3; ++c) {
        const unsigned ink = 255u - row[4 * x + c], product = ink * k + 128;
        const unsigned shade = ((product >> 8) + product) >> 8;  // ink * k / 255, rounded
        to[3 * x + c] = static_cast<uint8_t>(k > shade ? k - shade : 0);
      }
    }
  }
  auto& failure = decoder.failure;
  if (failure.ended && (jpeg_has_multiple_scans(&info) || info.arith_code) && lacks_scans(info))
    failure.truncated = true;
  return !failure.truncated;
}

Error damaged(const Decoder& decoder) {
  return fail(Code::InvalidInput, "the image is {}: JPEG: {}", decoder.failure.truncated ? "truncated" : "damaged",
              decoder.failure.truncated    ? "the file ends early"
              : decoder.failure.message[0] ? decoder.failure.message
                                           : "unreadable");
}

}  // namespace

Result<Image> decode_jpeg(std::span<const std::byte> bytes) {
  Decoder decoder;
  decoder.open(bytes);
  struct Close {
    Decoder& decoder;
    ~Close() { jpeg_destroy_decompress(&decoder.info); }
  } close{decoder};
  if (!read_header(decoder)) {
    decoder.failure.truncated |= decoder.failure.ended;
    return damaged(decoder);
  }
  VERGE_TRY(check_size(decoder.info.image_width, decoder.info.image_height, "JPEG"));
  // Before pixels are allocated: Huffman codes take a bit at least for each block of 8 x 8.
  const uint64_t blocks = uint64_t{decoder.info.image_width} * decoder.info.image_height / 64;
  if (!decoder.info.arith_code && blocks / 8 > bytes.size()) {
    decoder.failure.truncated = true;
    std::snprintf(decoder.failure.message, sizeof decoder.failure.message, "the file is too short for its size in pixels");
    return damaged(decoder);
  }
  VERGE_ASSIGN(image, make_image(decoder.info.image_width, decoder.info.image_height, "JPEG"));
  const J_COLOR_SPACE space = decoder.info.jpeg_color_space;
  const bool cmyk = space == JCS_CMYK || space == JCS_YCCK;
  std::vector<uint8_t> row(cmyk ? static_cast<size_t>(image.width) * 4 : 0);
  if (!read_pixels(decoder, image.rgb.data(), row.data(), cmyk)) {
    decoder.failure.truncated |= decoder.failure.ended;
    return damaged(decoder);
  }
  return image;
}

}  // namespace verge::media
