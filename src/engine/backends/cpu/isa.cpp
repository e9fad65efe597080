#include "engine/backends/cpu/isa.h"

#include <cpuid.h>

namespace verge::engine::cpu {
namespace {

// clang 14's __builtin_cpu_supports does not know this one.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::Base: return "base";
    case Isa::Avx2: return "avx2";
    case Isa::Avx512: return "avx512";
  }
  return "";
}

bool available(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") && has_f16c();
  switch (isa) {
    case Isa::Base: return true;
    case Isa::Avx2: return avx2;
    case Isa::Avx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
             __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

Result<Isa> choose_isa(const std::string& name) {
  for (Isa isa : {Isa::Avx512, Isa::Avx2, Isa::Base}) {
    if (name.empty() && available(isa)) return isa;
    if (name != to_string(isa)) continue;
    if (!available(isa)) return fail(Code::InvalidInput, "this machine lacks the instruction set \"{}\"", name);
    return isa;
  }
  return fail(Code::InvalidInput, "unknown instruction set \"{}\": base, avx2 or avx512", name);
}

}  // namespace verge::engine::cpu
