// The tracer on CUDA: one thread for a ray, in one launch.  All rays of a warp evaluate the network together, whatever
// stage of the search each is in.
#include "../field_value/grid_network_cuda.h"
#include "ray_search.h"

NSR_NAMESPACE_BEGIN
namespace {

// A ray and its search, kept in shared memory while the sums of a layer need the registers.
struct Flight {
  Ray ray;
  RaySearch search;
};
static_assert(sizeof(Flight) % sizeof(float) == 0 && kBlock * sizeof(Flight) <= 10 << 10);  // grid_network.py knows

// Floats of shared memory of a block.
inline int trace_floats(const GridNetwork& network) {
  return shared_floats(network) + kBlock * int(sizeof(Flight) / sizeof(float));
}

template <int C, int W>
__global__ void __launch_bounds__(kBlock, kBlocksAtOnce)
    trace_rays(const __grid_constant__ GridNetwork network, const HullGrid hull, const TraceSettings settings,
               const TraceRays rays, const TraceResults results) {
  NSR_SHARED_MEMORY(shared);
  PointEvaluator<C, W> evaluator(network, shared);
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= rays.count) return;
  Flight& flight = reinterpret_cast<Flight*>(shared + parameter_floats(network) + W * kBlock)[threadIdx.x];
  Ray& ray = flight.ray;
  RaySearch& search = flight.search;
  for (int a = 0; a < 3; ++a) {
    ray.origin[a] = rays.origins[3 * i + a];
    ray.direction[a] = rays.directions[3 * i + a];
  }
  const RayBounds bounds = find_bounds(ray, settings.radius, hull);
  search.begin(settings, bounds, bounds.meets && (rays.mask == nullptr || rays.mask[i]),
               rays.fractions == nullptr ? nullptr : rays.fractions + i * settings.closest_samples);
  while (search.stage() != kDone) {
    const float depth = search.wants(settings);
    float point[3];
    ray.at(depth, point);
    search.accept(settings, depth, evaluator.value(point));
  }
  results.depth[i] = search.depth();
  results.hit[i] = search.hit();
  results.meets[i] = bounds.meets;
}

struct StartTrace {
  const GridNetwork& network;
  const HullGrid& hull;
  const TraceSettings& settings;
  const TraceRays& rays;
  const TraceResults& results;
  void* stream;
  template <int C, int W>
  void run() const {
    NSR_LAUNCH_SHARED((trace_rays<C, W>), dim3(unsigned((rays.count + kBlock - 1) / kBlock)), dim3(kBlock),
                      trace_floats(network) * sizeof(float), stream, network, hull, settings, rays, results);
  }
};

}  // namespace
NSR_NAMESPACE_END

namespace nsr {

int launch_sphere_trace(const GridNetwork& network, const HullGrid& hull, const TraceSettings& settings,
                        const TraceRays& rays, const TraceResults& results, void* stream) {
  if (rays.count == 0) return 0;
  return with_network(network, StartTrace{network, hull, settings, rays, results, stream});
}

}  // namespace nsr
