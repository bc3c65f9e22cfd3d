// Which of the compiled instruction sets this processor runs.
#pragma once

namespace nsr {

enum class InstructionSet { kGeneric, kV3, kV4 };

// x86-64-v3 is AVX2, FMA, F16C and BMI; x86-64-v4 adds AVX-512 F, BW, CD, DQ and VL.
inline InstructionSet instruction_set() {
#if defined(__x86_64__)
  static const InstructionSet best = [] {
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v4 ? InstructionSet::kV4 : v3 ? InstructionSet::kV3 : InstructionSet::kGeneric;
  }();
  return best;
#else
  return InstructionSet::kGeneric;
#endif
}

}  // namespace nsr

// The object `name` of the build for the best instruction set there is.
#if defined(__x86_64__)
#define NSR_DECLARE_PER_ISA(type, name)                         \
  namespace isa_generic { extern const type name; }             \
  namespace isa_v3 { extern const type name; }                  \
  namespace isa_v4 { extern const type name; }                  \
  inline const type& best_##name() {                            \
    switch (instruction_set()) {                                \
      case InstructionSet::kV4: return isa_v4::name;            \
      case InstructionSet::kV3: return isa_v3::name;            \
      default: return isa_generic::name;                        \
    }                                                           \
  }
#else
#define NSR_DECLARE_PER_ISA(type, name)             \
  namespace isa_generic { extern const type name; } \
  inline const type& best_##name() { return isa_generic::name; }
#endif
