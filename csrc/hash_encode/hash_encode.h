// The maths of the multiresolution hash grid at one point and one level.
//
// Mueller et al. 2022, with tiny-cuda-nn's definition: a point sits at x * scale + 0.5 of its level's vertices.
// Corners come in edges: the two ends of an edge along x, F features each, are one vector of 2F lanes.  What is
// interpolated along x last is then computed by whole vectors; of its results only the first F lanes have a meaning.
#pragma once

#include "../common/lanes.h"
#include "hash_encode_launch.h"

NSR_NAMESPACE_BEGIN

// A coordinate among the vertices of a level, and its slope in the position.  Positions are clamped to [0, 1], where
// the slope becomes 0; NaN lies in cell 0 at fraction NaN.  Selections, not branches: g++ vectorises loops of this.
template <class S>
struct Coordinate {
  uint32_t cell;
  S fraction, slope;
};

template <class S>
NSR_INLINE Coordinate<S> locate(S position, S scale) {
  S clamped = position < S(0) ? S(0) : position;  // NaN stays
  clamped = clamped > S(1) ? S(1) : clamped;
  const S grid = multiply_add_unfused(clamped, scale, S(0.5));
  const int32_t lower = int32_t(grid > S(0) ? grid : S(0));
  return {uint32_t(lower), grid - S(lower), clamped == position ? scale : S(0)};
}

// Row (within the level) of a corner of a cell; corners are numbered 4 * dx + 2 * dy + dz.
template <Storage kStorage>
NSR_INLINE uint32_t corner_row(const Level& level, uint32_t x, uint32_t y, uint32_t z, int corner) {
  const uint32_t xi = x + uint32_t(corner >> 2), yi = y + uint32_t((corner >> 1) & 1), zi = z + uint32_t(corner & 1);
  if (kStorage == kHash) return (xi ^ (yi * 2654435761u) ^ (zi * 805459861u)) & (level.size - 1);
  const uint32_t row = xi + yi * level.stride_y + zi * level.stride_z;
  if (kStorage == kTiled) return row & (level.size - 1);
  return row >= level.size ? row - level.size : row;  // beyond the last vertex by less than the size: once around
}

// Interpolation along one axis: weight of the upper end, and its first and second derivative in the position.
template <class S>
struct Weight {
  S value, slope, curvature;
};

// chain: derivative of the grid coordinate in the position.
template <class S>
NSR_INLINE Weight<S> interpolation_weight(S fraction, S chain, bool smoothstep) {
  if (!smoothstep) return {fraction, chain, S(0)};
  return {fraction * fraction * (S(3) - S(2) * fraction), S(6) * fraction * (S(1) - fraction) * chain,
          (S(6) - S(12) * fraction) * (chain * chain)};
}

// Four edges of a cell, indexed 2 * dy + dz, to what varies along x only.
template <class E>
struct Face {
  E value, along_y, along_z, along_yz;  // plain differences: slopes of the weights are not in them yet
};

template <class E, class S>
NSR_INLINE Face<E> interpolate_face(const E edges[4], S weight_y, S weight_z) {
  const E lower = edges[0] + (edges[2] - edges[0]) * weight_y, upper = edges[1] + (edges[3] - edges[1]) * weight_y;
  const E y_lower = edges[2] - edges[0], y_upper = edges[3] - edges[1];
  Face<E> face;
  face.along_z = upper - lower;
  face.value = lower + face.along_z * weight_z;
  face.along_yz = y_upper - y_lower;
  face.along_y = y_lower + face.along_yz * weight_z;
  return face;
}

// Difference along the edge, and the value at a weight, in the first F lanes.
template <int F, class E>
NSR_INLINE E along_edge(const E& edge) {
  return swap_halves<2 * F>(edge) - edge;
}
template <int F, class E, class S>
NSR_INLINE E at_edge(const E& edge, S weight) {
  return edge + along_edge<F>(edge) * weight;
}

// Value and first derivatives in the position.
template <int F, class E, class S>
NSR_INLINE void interpolate_cell(const E edges[4], Weight<S> x, Weight<S> y, Weight<S> z, E& value, E first[3]) {
  const Face<E> face = interpolate_face(edges, y.value, z.value);
  const E along_x = along_edge<F>(face.value);
  value = face.value + along_x * x.value;
  first[0] = along_x * x.slope;
  first[1] = at_edge<F>(face.along_y, x.value) * y.slope;
  first[2] = at_edge<F>(face.along_z, x.value) * z.slope;
}

// The gradient in the position of (value . grad_value + sum_i first_i . grad_first_i), still to be summed over the
// first F lanes.  grad_first is null where there is none.
template <int F, class E, class S>
NSR_INLINE void coordinate_gradient(const E edges[4], Weight<S> x, Weight<S> y, Weight<S> z, const E& grad_value,
                                    const E* grad_first, E gradient[3]) {
  const Face<E> face = interpolate_face(edges, y.value, z.value);
  const E dx = along_edge<F>(face.value), dy = at_edge<F>(face.along_y, x.value),
          dz = at_edge<F>(face.along_z, x.value);
  gradient[0] = grad_value * dx * x.slope;
  gradient[1] = grad_value * dy * y.slope;
  gradient[2] = grad_value * dz * z.slope;
  if (grad_first == nullptr) return;
  const E dxy = along_edge<F>(face.along_y) * (x.slope * y.slope);
  const E dxz = along_edge<F>(face.along_z) * (x.slope * z.slope);
  const E dyz = at_edge<F>(face.along_yz, x.value) * (y.slope * z.slope);
  gradient[0] = gradient[0] + grad_first[0] * dx * x.curvature + grad_first[1] * dxy + grad_first[2] * dxz;
  gradient[1] = gradient[1] + grad_first[0] * dxy + grad_first[1] * dy * y.curvature + grad_first[2] * dyz;
  gradient[2] = gradient[2] + grad_first[0] * dxz + grad_first[1] * dyz + grad_first[2] * dz * z.curvature;
}

// The adjoint of interpolate_cell in the edges.  Gradients hold their F features twice, once for each end.
template <int F, class E, class S>
NSR_INLINE void edge_gradients(Weight<S> x, Weight<S> y, Weight<S> z, const E& grad_value, const E* grad_first,
                               E edges[4]) {
  E weight_x;
  for (int i = 0; i < F; ++i) weight_x[i] = S(1) - x.value;
  for (int i = F; i < 2 * F; ++i) weight_x[i] = x.value;
  const S weight_y[2] = {S(1) - y.value, y.value}, weight_z[2] = {S(1) - z.value, z.value};
  E flat = grad_value * weight_x;
  if (grad_first == nullptr) {
    for (int edge = 0; edge < 4; ++edge) edges[edge] = flat * (weight_y[edge >> 1] * weight_z[edge & 1]);
    return;
  }
  E slope_x;
  for (int i = 0; i < F; ++i) slope_x[i] = -x.slope;
  for (int i = F; i < 2 * F; ++i) slope_x[i] = x.slope;
  flat = flat + grad_first[0] * slope_x;
  const E grad_y = grad_first[1] * weight_x * y.slope, grad_z = grad_first[2] * weight_x * z.slope;
  for (int edge = 0; edge < 4; ++edge) {
    const S wy = weight_y[edge >> 1], wz = weight_z[edge & 1];
    const S sign_y = edge >> 1 ? S(1) : S(-1), sign_z = edge & 1 ? S(1) : S(-1);
    edges[edge] = flat * (wy * wz) + grad_y * (sign_y * wz) + grad_z * (sign_z * wy);
  }
}

NSR_NAMESPACE_END
