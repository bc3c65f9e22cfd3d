// The maths of a filter bank between two products of matrices, for one number, or a few side by side, of a layer.
//
// A layer's preactivation p becomes the hidden state sin(frequency (p + bias)) + e, where the band
// e = sin(2 pi z + phase), z = sum_f g_f B_f, is of the grid features g of a level (Wu et al. 2023).  Value and three
// tangents, derivatives in the position, go together: index 0 is the value, 1 to 3 are the tangents.
#pragma once

#include "filter_bank_launch.h"
#include "sine.h"

NSR_NAMESPACE_BEGIN

constexpr double kTwoPi = 6.28318530717958647693;

// output = sin(frequency input + shift).
template <bool kTangents, class V, class S>
NSR_INLINE void wave(const V input[4], S frequency, const V& shift, V output[4]) {
  V sine, cosine;
  sine_cosine(input[0] * frequency + shift, sine, cosine);
  output[0] = sine;
  if (!kTangents) return;
  const V slope = cosine * frequency;
  for (int axis = 1; axis < 4; ++axis) output[axis] = input[axis] * slope;
}

// The adjoint of wave; the output comes along.
template <bool kTangents, class V, class S>
NSR_INLINE void wave_gradient(const V input[4], S frequency, const V& shift, const V gradient[4], V output[4],
                              V input_gradient[4]) {
  V sine, cosine;
  sine_cosine(input[0] * frequency + shift, sine, cosine);
  const V slope = cosine * frequency;
  output[0] = sine;
  input_gradient[0] = gradient[0] * slope;
  if (!kTangents) return;
  V along = input[1] * gradient[1];
  for (int axis = 2; axis < 4; ++axis) along = along + input[axis] * gradient[axis];
  input_gradient[0] = input_gradient[0] - sine * along * (frequency * frequency);
  for (int axis = 1; axis < 4; ++axis) {
    output[axis] = input[axis] * slope;
    input_gradient[axis] = gradient[axis] * slope;
  }
}

NSR_NAMESPACE_END
