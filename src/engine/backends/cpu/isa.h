// The instruction sets that the kernels are compiled for, and the one choice between them.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::engine::cpu {

// Avx2 means AVX2, FMA, F16C and BMI2; Avx512 adds F, BW, DQ, VL, VBMI, VNNI and BF16. A machine that lacks one
// of a set's extensions takes the set below it.
enum class Isa { Base, Avx2, Avx512 };

const char* to_string(Isa isa);  // "base", "avx2", "avx512"
bool available(Isa isa);         // on this machine, its operating system included
// "" gives the best set of this machine. Fails with InvalidInput for an unknown or unavailable name.
Result<Isa> choose_isa(const std::string& name);

}  // namespace verge::engine::cpu
