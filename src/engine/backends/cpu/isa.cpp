#include "engine/backends/cpu/isa.h"

namespace verge::engine::cpu {

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
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("bmi2");
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
