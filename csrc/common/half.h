// IEEE binary16 as it is stored; arithmetic is done in float.
#pragma once

#include "../common/portable.h"
#if defined(__CUDACC__)
#include <cuda_fp16.h>
#elif defined(__F16C__)
#include <immintrin.h>
#endif

NSR_NAMESPACE_BEGIN

struct Half {
  uint16_t bits;
};

NSR_INLINE float to_float(Half half) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(half.bits));
#elif defined(__F16C__)
  return _cvtsh_ss(half.bits);
#else
  // Shifted into place, the exponent is 112 too small; one multiplication corrects it, subnormal numbers included.
  const uint32_t magnitude = uint32_t(half.bits & 0x7fffu) << 13;
  float value;
  std::memcpy(&value, &magnitude, sizeof value);
  value *= 0x1p112f;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((half.bits & 0x7c00u) == 0x7c00u) bits = magnitude | 0x7f800000u;
  bits |= uint32_t(half.bits & 0x8000u) << 16;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

NSR_NAMESPACE_END
