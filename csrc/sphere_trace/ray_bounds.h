// The part of a ray that is searched: that of nsr/rendering/bounds.py.
#pragma once

#include "../common/half.h"
#include "sphere_trace_launch.h"
#if !defined(__CUDACC__)
#include <cmath>
#endif

NSR_NAMESPACE_BEGIN

struct Ray {
  float origin[3], direction[3];

  NSR_INLINE void at(float depth, float point[3]) const {
    for (int a = 0; a < 3; ++a) point[a] = multiply_add_unfused(depth, direction[a], origin[a]);
  }
};

struct RayBounds {
  float near, far;
  bool meets;
};

NSR_INLINE float at_least(float value, float least) { return value < least ? least : value; }  // NaN stays

NSR_INLINE RayBounds sphere_bounds(const Ray& ray, float radius) {
  float middle = 0.0f, square = 0.0f;
  for (int a = 0; a < 3; ++a) {
    middle -= ray.origin[a] * ray.direction[a];
    square += ray.origin[a] * ray.origin[a];
  }
  const float closest = at_least(square - middle * middle, 0.0f);
  const float half = sqrtf(at_least(radius * radius - closest, 0.0f));
  if (closest < radius * radius && middle + half > 0.0f)
    return {at_least(middle - half, 0.0f), at_least(middle + half, 0.0f), true};
  middle = at_least(middle, 0.0f);
  return {middle, middle, false};
}

// Trilinear value of the grown hull, with the border's value beyond it.
NSR_INLINE float hull_value(const HullGrid& hull, const float point[3]) {
  const Half* grid = static_cast<const Half*>(hull.values);
  int64_t lower[3], upper[3];
  float fraction[3];
  for (int a = 0; a < 3; ++a) {
    const float last = float(hull.size[a] - 1);
    float index = (point[a] + 1.0f) / 2.0f * last;
    index = index > 0.0f ? index : 0.0f;  // NaN too
    index = index > last ? last : index;
    lower[a] = int64_t(index);
    upper[a] = lower[a] + 1 < hull.size[a] ? lower[a] + 1 : lower[a];
    fraction[a] = index - float(lower[a]);
  }
  float faces[2];
  for (int x = 0; x < 2; ++x) {
    float edges[2];
    for (int y = 0; y < 2; ++y) {
      const Half* row =
          grid + ((x ? upper[0] : lower[0]) * hull.size[1] + (y ? upper[1] : lower[1])) * hull.size[2];
      const float begin = to_float(row[lower[2]]), end = to_float(row[upper[2]]);
      edges[y] = begin + (end - begin) * fraction[2];
    }
    faces[x] = edges[0] + (edges[1] - edges[0]) * fraction[1];
  }
  return faces[0] + (faces[1] - faces[0]) * fraction[0] - hull.margin;
}

// A march through the hull's field from one end of a ray's part towards the other.
struct HullMarch {
  float depth, closest, lowest;
};

// sign: +1 from near to far, -1 from far to near.
NSR_INLINE HullMarch march_through_hull(const HullGrid& hull, const Ray& ray, float start, float limit, float sign) {
  constexpr int kIterations = 12;
  const float smallest = 1.0f / float(hull.size[0]);
  HullMarch march{start, start, INFINITY};
  for (int i = 0; i < kIterations; ++i) {
    float point[3];
    ray.at(march.depth, point);
    const float value = hull_value(hull, point);
    if (value < march.lowest) {
      march.closest = march.depth;
      march.lowest = value;
    }
    if (!(value > 0.0f)) break;
    const float next = march.depth + sign * at_least(value, smallest);
    const float depth = sign * (next - limit) < 0.0f ? next : limit;
    if (depth == march.depth) break;
    march.depth = depth;
  }
  return march;
}

NSR_INLINE RayBounds find_bounds(const Ray& ray, float radius, const HullGrid& hull) {
  const RayBounds sphere = sphere_bounds(ray, radius);
  if (hull.values == nullptr) return sphere;
  const HullMarch front = march_through_hull(hull, ray, sphere.near, sphere.far, 1.0f);
  const HullMarch back = march_through_hull(hull, ray, sphere.far, sphere.near, -1.0f);
  if (sphere.meets && front.depth < back.depth) return {front.depth, back.depth, true};
  const float nearest = front.lowest <= back.lowest ? front.closest : back.closest;
  return {nearest, nearest, false};
}

NSR_NAMESPACE_END
