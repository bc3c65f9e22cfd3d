// What lets one header serve g++ (several instruction sets) and nvcc.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define NSR_INLINE __host__ __device__ __forceinline__
#else
#define NSR_INLINE inline __attribute__((always_inline))
#endif

// A file compiled once per instruction set must keep its inline functions to itself: were they shared, the linker
// could hand a function with AVX-512 in it to a processor that has none.  The build defines NSR_ISA for such files.
#ifndef NSR_ISA
#define NSR_ISA shared
#endif
#define NSR_NAMESPACE_BEGIN \
  namespace nsr {           \
  inline namespace NSR_ISA {
#define NSR_NAMESPACE_END \
  }                       \
  }

NSR_NAMESPACE_BEGIN

// a * b + c, rounded twice.  Where a point lies among cells must not depend on whether a compiler fuses the two:
// the files that use it are compiled with -ffp-contract=off on the host.
NSR_INLINE float multiply_add_unfused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(__fmul_rn(a, b), c);
#else
  return a * b + c;
#endif
}
NSR_INLINE double multiply_add_unfused(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __dadd_rn(__dmul_rn(a, b), c);
#else
  return a * b + c;
#endif
}

NSR_NAMESPACE_END
