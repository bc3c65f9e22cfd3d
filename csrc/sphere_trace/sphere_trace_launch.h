// What the torch glue and the compiled bodies of the tracer agree on: plain data, raw pointers, no torch.
#pragma once

#include "../field_value/field_value_launch.h"

namespace nsr {

// The numbers of nsr.config.schema.RayTracerConfig.
struct TraceSettings {
  float radius, threshold, line_search;  // line_search: the part of a step that its first halving takes back
  int32_t line_steps, iterations, samples, root_steps, closest_samples;
  bool two_sided;
};

// Signed values over [-1, 1]^3, positive outside, as IEEE binary16; null where rays are searched in the sphere.
struct HullGrid {
  const void* values;  // [size[0], size[1], size[2]]
  int32_t size[3];
  float margin;
};

struct TraceRays {
  int64_t count;
  const float *origins, *directions;  // [count, 3]
  const bool* mask;                   // [count] when training, else null
  const float* fractions;             // [count, closest_samples] in [0, 1) when training, else null
};

struct TraceResults {
  float* depth;   // [count]
  bool *hit, *meets;  // [count]
};

// The body for the CPU, one per instruction set.  Several threads may call it with one counter of the rays that are
// taken; each traces whatever rays come to it.  A ray's results do not depend on that.
struct SphereTraceCpu {
  void (*trace)(const GridNetwork&, const HullGrid&, const TraceSettings&, const TraceRays&, const TraceResults&,
                int64_t (*take)(void* counter, int64_t rays), void* counter);
};

// Returns a cudaError_t.
int launch_sphere_trace(const GridNetwork&, const HullGrid&, const TraceSettings&, const TraceRays&,
                        const TraceResults&, void* stream);

}  // namespace nsr
