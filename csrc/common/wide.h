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
// |f| <= 1/2, relative error 8e-8, and of log(1 + e) / e for 0 <= e <= 1, error 4e-8.  Several vectors at a time keep
// the processor busy while it waits for the terms of each.
template <int N>
NSR_INLINE void log_one_plus_exp_minus(Wide (&z)[N]) {
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the lowest bits
  Wide rounded[N], f[N], sum[N];
  for (int i = 0; i < N; ++i) {
    const Wide t = z[i] * -1.44269504f;
    rounded[i] = t + kRounder;
    f[i] = t - (rounded[i] - kRounder);
    sum[i] = all_lanes(1.327647129e-3f);
  }
  for (const float c : {9.675540961e-3f, 5.550713092e-2f, 2.402212024e-1f, 6.931469440e-1f, 1.0f})
    for (int i = 0; i < N; ++i) sum[i] = multiply_add(sum[i], f[i], all_lanes(c));
  Wide e[N];
  for (int i = 0; i < N; ++i) {
    e[i] = (Wide)((WideInt)sum[i] + ((WideInt)rounded[i] << 23));
    sum[i] = all_lanes(-6.452611182e-3f);
  }
  for (const float c : {3.608451411e-2f, -9.532248229e-2f, 1.676478386e-1f, -2.407307476e-1f, 3.317982554e-1f,
                        -4.998740554e-1f, 9.999964237e-1f})
    for (int i = 0; i < N; ++i) sum[i] = multiply_add(sum[i], e[i], all_lanes(c));
  for (int i = 0; i < N; ++i) z[i] = sum[i] * e[i];
}

// log(1 + exp(beta x)) / beta in place.  A lane's result does not depend on the others.
template <int N>
NSR_INLINE void softplus(Wide (&x)[N], Wide beta, Wide inverse_beta) {
  constexpr float kNegligible = 18.0f;  // exp(-18) is 1.5e-8
  Wide line[N], z[N];
  WideInt bent[N], any = {};
  for (int i = 0; i < N; ++i) {
    line[i] = x[i] < 0.0f ? Wide{} : x[i];  // NaN stays
    z[i] = beta * (line[i] + line[i] - x[i]);
    bent[i] = z[i] < kNegligible;
    any |= bent[i];
    x[i] = line[i];
  }
  if (!any_lane(any)) return;
  log_one_plus_exp_minus(z);
  for (int i = 0; i < N; ++i) x[i] = bent[i] ? multiply_add(z[i], inverse_beta, line[i]) : line[i];
}

NSR_NAMESPACE_END
