// Sine and cosine together: of a few floats at once under g++, of one number otherwise.
#pragma once

#include "../common/lanes.h"

#include <cmath>

NSR_NAMESPACE_BEGIN

NSR_INLINE void sine_cosine(float phase, float& sine, float& cosine) {
#if defined(__CUDA_ARCH__)
  sincosf(phase, &sine, &cosine);
#else
  sine = std::sin(phase), cosine = std::cos(phase);
#endif
}
NSR_INLINE void sine_cosine(double phase, double& sine, double& cosine) {
#if defined(__CUDA_ARCH__)
  sincos(phase, &sine, &cosine);
#else
  sine = std::sin(phase), cosine = std::cos(phase);
#endif
}

#if !defined(__CUDACC__)

constexpr int kSineLanes = 8;

NSR_INLINE void sine_cosine(const Lanes<double, 4>& phase, Lanes<double, 4>& sine, Lanes<double, 4>& cosine) {
  for (int i = 0; i < 4; ++i) sine[i] = std::sin(phase[i]), cosine[i] = std::cos(phase[i]);
}

// Within 1e-7 for phases up to 2^30.  Quarter turns are taken off in double precision; of what is left, within
// pi / 4 of 0, the Taylor series end where the next term is below 3e-9 (sine) and 3e-8 (cosine).  NaN and infinity give
// NaN; a phase too large to be told from its neighbours a turn away gives a number in [-1, 1].
NSR_INLINE void sine_cosine(const Lanes<float, kSineLanes>& phase, Lanes<float, kSineLanes>& sine,
                            Lanes<float, kSineLanes>& cosine) {
  typedef Lanes<float, kSineLanes> Floats;
  typedef Lanes<double, kSineLanes> Doubles;
  typedef Lanes<int32_t, kSineLanes> Integers;
  constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const Doubles wide = __builtin_convertvector(phase, Doubles);
  const Doubles turns = (wide * 0.63661977236758134308 + kRounder) - kRounder;  // in quarters
  Floats rest = __builtin_convertvector(wide - turns * 1.57079632679489661923, Floats);
  rest = rest * rest < 1.0f ? rest : rest - rest;
  const Doubles cycles = (turns * 0.25 + kRounder) - kRounder;
  const Integers quarter = __builtin_convertvector(turns - cycles * 4.0, Integers);

  const Floats square = rest * rest;
  const Floats odd =
      rest + rest * square *
                 (((square * 2.7557319e-6f - 1.9841270e-4f) * square + 8.3333333e-3f) * square - 1.6666667e-1f);
  const Floats even =
      1.0f - square * (0.5f - square * ((square * 2.4801587e-5f - 1.3888889e-3f) * square + 4.1666667e-2f));
  const Integers swapped = (quarter & 1) != 0;
  const Integers sine_sign = (quarter & 2) << 30, cosine_sign = ((quarter + 1) & 2) << 30;
  sine = (Floats)((Integers)(swapped ? even : odd) ^ sine_sign);
  cosine = (Floats)((Integers)(swapped ? odd : even) ^ cosine_sign);
}

#endif

NSR_NAMESPACE_END
