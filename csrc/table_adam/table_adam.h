// Adam (Kingma and Ba 2015) for one number of a table; a number whose gradient is exactly 0 stays as it is.
#pragma once

#include <cmath>

#include "../common/portable.h"
#include "table_adam_launch.h"

NSR_NAMESPACE_BEGIN

template <class S>
struct AdamConstants {
  S rate, rest1, rest2, inverse_correction, epsilon;

  NSR_INLINE explicit AdamConstants(const TableAdamStep& step)
      : rate(S(step.rate)),
        rest1(S(1 - step.beta1)),
        rest2(S(1 - step.beta2)),
        inverse_correction(S(step.inverse_correction)),
        epsilon(S(step.epsilon)) {}
};

// Changes are chosen, not stores: a store under a mask is slow on many processors.
template <class S>
NSR_INLINE void adam_update(const AdamConstants<S>& c, S gradient, S& value, S& first, S& second) {
  const bool moves = gradient != S(0);
  first += (moves ? c.rest1 : S(0)) * (gradient - first);
  second += (moves ? c.rest2 : S(0)) * (gradient * gradient - second);
  const S change = c.rate * first / (std::sqrt(second) * c.inverse_correction + c.epsilon);
  value -= moves ? change : S(0);
}

NSR_NAMESPACE_END
