// A few numbers that are computed with as one: a SIMD vector under g++, registers of one thread under nvcc.
#pragma once

#include "../common/half.h"

NSR_NAMESPACE_BEGIN

#if defined(__CUDACC__)

template <class S, int N>
struct LanesOf {
  struct type {
    S lane[N];
    NSR_INLINE S& operator[](int i) { return lane[i]; }
    NSR_INLINE S operator[](int i) const { return lane[i]; }
  };
};
template <class S, int N>
using Lanes = typename LanesOf<S, N>::type;

#define NSR_LANES_OPERATOR(op)                                                          \
  template <class V>                                                                    \
  NSR_INLINE auto operator op(V a, V b)->decltype(a.lane[0], V()) {                     \
    for (int i = 0; i < int(sizeof(a.lane) / sizeof(a.lane[0])); ++i) a[i] = a[i] op b[i]; \
    return a;                                                                           \
  }                                                                                     \
  template <class V, class S>                                                           \
  NSR_INLINE auto operator op(V a, S b)->decltype(a.lane[0] * b, V()) {                 \
    for (int i = 0; i < int(sizeof(a.lane) / sizeof(a.lane[0])); ++i) a[i] = a[i] op b; \
    return a;                                                                           \
  }
NSR_LANES_OPERATOR(+)
NSR_LANES_OPERATOR(-)
NSR_LANES_OPERATOR(*)
#undef NSR_LANES_OPERATOR

template <int N, class V>
NSR_INLINE V swap_halves(const V& v) {
  V swapped;
  for (int i = 0; i < N; ++i) swapped[i] = v[(i + N / 2) % N];
  return swapped;
}

#else

template <class S, int N>
struct LanesOf {
  typedef S type __attribute__((vector_size(sizeof(S) * N)));
};
template <class S, int N>
using Lanes = typename LanesOf<S, N>::type;

// The second half first.
template <int N, class V>
NSR_INLINE V swap_halves(V v) {
  if constexpr (N == 2) {
    return V{v[1], v[0]};
  } else if constexpr (N == 4) {
    return V{v[2], v[3], v[0], v[1]};
  } else {
    V swapped;
    for (int i = 0; i < N; ++i) swapped[i] = v[(i + N / 2) % N];
    return swapped;
  }
}

#endif

NSR_NAMESPACE_END
