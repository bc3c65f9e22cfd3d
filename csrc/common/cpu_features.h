// Which of the compiled instruction sets this processor runs.
#pragma once

namespace nsr {

// Whether it has x86-64-v3: AVX2, FMA, F16C and BMI.
inline bool has_x86_64_v3() {
#if defined(__x86_64__)
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  }();
  return has;
#else
  return false;
#endif
}

// Whether it has x86-64-v4 as well: AVX-512.
inline bool has_x86_64_v4() {
#if defined(__x86_64__)
  static const bool has = has_x86_64_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
  return has;
#else
  return false;
#endif
}

}  // namespace nsr

// best_NAME(): the object NAME of the build for the best instruction set there is.
#if defined(__x86_64__)
#define NSR_DECLARE_PER_ISA(type, name)                                   \
  namespace isa_generic {                                                 \
  extern const type name;                                                 \
  }                                                                       \
  namespace isa_v3 {                                                      \
  extern const type name;                                                 \
  }                                                                       \
  inline const type& best_##name() {                                      \
    return has_x86_64_v3() ? isa_v3::name : isa_generic::name;            \
  }
// For *_wide_cpu.cpp: those that the 32 registers of AVX-512 make faster.  (Lookups in tables gain nothing from it.)
#define NSR_DECLARE_PER_WIDE_ISA(type, name)                                                           \
  namespace isa_generic {                                                                              \
  extern const type name;                                                                              \
  }                                                                                                    \
  namespace isa_v3 {                                                                                   \
  extern const type name;                                                                              \
  }                                                                                                    \
  namespace isa_v4 {                                                                                   \
  extern const type name;                                                                              \
  }                                                                                                    \
  inline const type& best_##name() {                                                                   \
    return has_x86_64_v4() ? isa_v4::name : has_x86_64_v3() ? isa_v3::name : isa_generic::name;        \
  }
#else
#define NSR_DECLARE_PER_ISA(type, name)                        \
  namespace isa_generic {                                      \
  extern const type name;                                      \
  }                                                            \
  inline const type& best_##name() { return isa_generic::name; }
#define NSR_DECLARE_PER_WIDE_ISA NSR_DECLARE_PER_ISA
#endif
