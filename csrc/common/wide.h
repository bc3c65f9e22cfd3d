// As many floats as one register of the instruction set holds, and the functions of a network on them.
#pragma once

#include "lanes.h"
#if defined(__FMA__)
#include <immintrin.h>
#endif

NSR_NAMESPACE_BEGIN

#if defined(__AVX512F__)
constexpr int kWide = 16;
#elif defined(__AVX__)
constexpr int kWide = 8;
#else
constexpr int kWide = 4;
#endif

typedef Lanes<float, kWide> Wide;
typedef Lanes<int32_t, kWide> WideInt;

NSR_INLINE Wide load_wide(const float* from) {
  Wide value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
NSR_INLINE void store_wide(float* to, Wide value) { std::memcpy(to, &value, sizeof value); }
NSR_INLINE Wide all_lanes(float value) { return Wide{} + value; }

// a * b + c, rounded once where the processor can.
NSR_INLINE Wide multiply_add(Wide a, Wide b, Wide c) {
#if defined(__AVX512F__)
  return (Wide)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (Wide)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

// Whether any lane of a comparison holds.
NSR_INLINE bool any_lane(WideInt holds) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)holds, (__m512i)holds) != 0;
#elif defined(__AVX__)
  return _mm256_movemask_ps((__m256)holds) != 0;
#else
  int32_t any = 0;
  for (int i = 0; i < kWide; ++i) any |= holds[i];
  return any != 0;
#endif
}

// log(1 + exp(-z)) for 0 <= z < 20, to 1e-7; what other lanes give has no meaning.  Minimax polynomials: of 2^f for
// |f| <= 1/2, relative error 8e-8, and of log(1 + e) / e for 0 <= e <= 1, error 4e-8.
NSR_INLINE Wide log_one_plus_exp_minus(Wide z) {
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the lowest bits
  const Wide t = z * -1.44269504f;
  const Wide rounded = t + kRounder;
  const Wide f = t - (rounded - kRounder);
  Wide power = all_lanes(1.327647129e-3f);
  for (const float c : {9.675540961e-3f, 5.550713092e-2f, 2.402212024e-1f, 6.931469440e-1f, 1.0f})
    power = multiply_add(power, f, all_lanes(c));
  const Wide e = (Wide)((WideInt)power + ((WideInt)rounded << 23));
  Wide ratio = all_lanes(-6.452611182e-3f);
  for (const float c : {3.608451411e-2f, -9.532248229e-2f, 1.676478386e-1f, -2.407307476e-1f, 3.317982554e-1f,
                        -4.998740554e-1f, 9.999964237e-1f})
    ratio = multiply_add(ratio, e, all_lanes(c));
  return ratio * e;
}

// log(1 + exp(beta x)) / beta.  A lane's result does not depend on the others.
NSR_INLINE Wide softplus(Wide x, Wide beta, Wide inverse_beta) {
  constexpr float kNegligible = 18.0f;  // exp(-18) is 1.5e-8
  const Wide line = x < 0.0f ? Wide{} : x;  // NaN stays
  const Wide z = beta * (line + line - x);
  const WideInt bent = z < kNegligible;
  if (!any_lane(bent)) return line;
  return bent ? multiply_add(log_one_plus_exp_minus(z), inverse_beta, line) : line;
}

NSR_NAMESPACE_END
