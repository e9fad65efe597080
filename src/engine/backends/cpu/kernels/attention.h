// What the attention kernels take and give: plain structs, one function table per instruction set.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace verge::engine::cpu {

// Norm and rotation of one head's vector.
struct HeadTransform {
  int head_dim;
  const float* norm;  // {head_dim} or null
  float eps;
  const float* cos;   // {rotary_dim / 2}
  const float* sin;
  int rotary_dim;
  bool interleaved;
  float scale;        // multiplied in last
};

// Queries of one KV head against a split of its keys, [key_begin, key_end). Query i belongs to the token at position
// position + i / group and sees keys up to it, the last `window` of them (0 = all).
struct AttendBlock {
  const float* q;           // {queries, head_dim}, scaled
  int queries;
  int group;                // query heads of the KV head
  int position;
  int head_dim;
  int value_stride;         // elements from one token's values to the next: head_dim up to a multiple of 16
  int type;                 // 0 F16, 1 BF16, 2 F32
  const int32_t* pages;     // page table of the sequence
  const char* base;         // page 0 of the layer
  size_t page_stride;
  size_t key_offset;        // of this KV head in a page
  size_t value_offset;
  int window;
  float softcap;
  int key_begin, key_end;   // key_begin a multiple of the split's size
  // Softmax state of each query: the largest score, sums of exp(score - largest) in 16 lanes, weighted values.
  float* largest;           // {queries}
  float* sums;              // {queries, 16}
  float* values;            // {queries, value_stride}
};

struct AttentionKernels {
  void (*transform)(const float* x, const HeadTransform& t, float* y);
  // Values are held finite (NaN becomes the lowest finite value), so that a masked product is exactly 0.
  void (*store_key)(const float* k, int head_dim, int type, void* head_keys, int token_in_page);
  void (*store_value)(const float* v, int head_dim, int value_stride, int type, void* head_values, int token_in_page);
  // The empty state: no key seen.
  void (*reset)(const AttendBlock& block);
  // The state of the split's keys alone.
  void (*attend)(const AttendBlock& block);
  // into = into + from, for `queries` states; the order of calls is the order of rounding.
  void (*merge)(const AttendBlock& into, const AttendBlock& from);
  // out = values / sum for one query.
  void (*finish)(const AttendBlock& block, int query, float* out);
};

namespace base { extern const AttentionKernels attention_kernels; }
namespace avx2 { extern const AttentionKernels attention_kernels; }
namespace avx512 { extern const AttentionKernels attention_kernels; }

}  // namespace verge::engine::cpu
