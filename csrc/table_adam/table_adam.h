// Adam (Kingma and Ba 2015) for one number of a table; a number whose gradient is exactly 0 stays as it is.
#pragma once

#include <cmath>

#include "../common/portable.h"
#include "table_adam_launch.h"

NSR_NAMESPACE_BEGIN

template <class S>
struct AdamConstants {
  S rate, beta1, rest1, beta2, rest2, inverse_correction, epsilon;

  NSR_INLINE explicit AdamConstants(const TableAdamStep& step)
      : rate(S(step.rate)),
        beta1(S(step.beta1)),
        rest1(S(1 - step.beta1)),
        beta2(S(step.beta2)),
        rest2(S(1 - step.beta2)),
        inverse_correction(S(step.inverse_correction)),
        epsilon(S(step.epsilon)) {}
};

template <class S>
NSR_INLINE void adam_update(const AdamConstants<S>& c, S gradient, S& value, S& first, S& second) {
  const S new_first = c.beta1 * first + c.rest1 * gradient;
  const S new_second = c.beta2 * second + c.rest2 * gradient * gradient;
  const S new_value = value - c.rate * new_first / (std::sqrt(new_second) * c.inverse_correction + c.epsilon);
  const bool moves = gradient != S(0);
  value = moves ? new_value : value;
  first = moves ? new_first : first;
  second = moves ? new_second : second;
}

NSR_NAMESPACE_END
