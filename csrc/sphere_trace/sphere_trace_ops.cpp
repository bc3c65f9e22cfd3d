// The tracer as a torch operator.  Shapes are checked in Python (nsr/ops/sphere_trace.py), once; what is checked here
// is what memory safety needs.
#include "../field_value/grid_network_inputs.h"
#include "sphere_trace_launch.h"

#include <algorithm>
#include <atomic>
#include <tuple>

namespace nsr {

NSR_DECLARE_PER_WIDE_ISA(SphereTraceCpu, sphere_trace_cpu)

namespace {

constexpr int64_t kRaysPerThread = 64;

typedef std::tuple<Tensor, Tensor, Tensor> Outputs;

struct Problem {
  GridNetwork network;
  HullGrid hull;
  TraceSettings settings;
  TraceRays rays;
};

// mask: bool [N], and fractions [N, closest samples]; or mask of two dimensions: none, and no closest samples.
// hull: float16 [A, B, C], or empty: rays are searched in the sphere.  settings: radius, threshold, line search, line
// steps, iterations, two-sided (0 or 1), samples, root steps, closest samples, margin of the hull.
Problem make_problem(const Tensor& origins, const Tensor& directions, const Tensor& mask, const Tensor& fractions,
                     const Tensor& hull, const Tensor& table, const Tensor& levels, const Tensor& scales,
                     const Tensor& level_weights, const Tensor& parameters, const Tensor& form,
                     const Tensor& settings) {
  Problem problem{};
  problem.network = make_network(origins, table, levels, scales, level_weights, parameters, form);
  const double* numbers = plain_numbers(settings, 10, "settings");
  problem.settings = {float(numbers[0]),
                      float(numbers[1]),
                      float(numbers[2]),
                      count_of(numbers[3], "line steps"),
                      count_of(numbers[4], "iterations"),
                      count_of(numbers[6], "samples"),
                      count_of(numbers[7], "root steps"),
                      count_of(numbers[8], "closest samples"),
                      numbers[5] != 0};
  STD_TORCH_CHECK(problem.settings.samples >= 2, "sphere_trace: at least 2 samples wanted");
  const int64_t count = origins.size(0);
  TraceRays& rays = problem.rays;
  rays.count = count;
  rays.origins = float_pointer(origins, origins, 3 * count, "origins");
  rays.directions = float_pointer(directions, origins, 3 * count, "directions");
  if (mask.dim() == 1) {
    STD_TORCH_CHECK(mask.scalar_type() == ScalarType::Bool && mask.is_contiguous() && mask.numel() == count &&
                        mask.is_cuda() == origins.is_cuda(),
                    "sphere_trace: the mask must be bool [N], contiguous, on the device of the rays");
    rays.mask = static_cast<const bool*>(mask.const_data_ptr());
    rays.fractions = float_pointer(fractions, origins, count * problem.settings.closest_samples, "fractions");
  }
  if (hull.numel() > 0) {
    STD_TORCH_CHECK(hull.dim() == 3 && hull.scalar_type() == ScalarType::Half && hull.is_contiguous() &&
                        hull.is_cuda() == origins.is_cuda(),
                    "sphere_trace: the hull must be float16 [A, B, C], contiguous, on the device of the rays");
    problem.hull.values = hull.const_data_ptr();
    for (int a = 0; a < 3; ++a) problem.hull.size[a] = count_of(double(hull.size(a)), "hull");
    problem.hull.margin = float(numbers[9]);
  }
  return problem;
}

Outputs allocate_outputs(const Tensor& origins) {
  const int64_t count = origins.size(0);
  return {torch::stable::new_empty(origins, {count}), torch::stable::new_empty(origins, {count}, ScalarType::Bool),
          torch::stable::new_empty(origins, {count}, ScalarType::Bool)};
}

TraceResults results_of(const Outputs& outputs) {
  return {static_cast<float*>(std::get<0>(outputs).mutable_data_ptr()),
          static_cast<bool*>(std::get<1>(outputs).mutable_data_ptr()),
          static_cast<bool*>(std::get<2>(outputs).mutable_data_ptr())};
}

int64_t take_rays(void* counter, int64_t rays) { return static_cast<std::atomic<int64_t>*>(counter)->fetch_add(rays); }

Outputs trace_on_cpu(const Tensor& origins, const Tensor& directions, const Tensor& mask, const Tensor& fractions,
                     const Tensor& hull, const Tensor& table, const Tensor& levels, const Tensor& scales,
                     const Tensor& level_weights, const Tensor& parameters, const Tensor& form,
                     const Tensor& settings) {
  const Problem problem = make_problem(origins, directions, mask, fractions, hull, table, levels, scales,
                                       level_weights, parameters, form, settings);
  const Outputs outputs = allocate_outputs(origins);
  const TraceResults results = results_of(outputs);
  const int64_t wanted = (problem.rays.count + kRaysPerThread - 1) / kRaysPerThread;
  const int64_t workers = std::min<int64_t>(wanted, torch::stable::get_num_threads());
  std::atomic<int64_t> taken{0};
  torch::stable::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    best_sphere_trace_cpu().trace(problem.network, problem.hull, problem.settings, problem.rays, results, take_rays,
                                  &taken);
  });
  return outputs;
}

#if defined(NSR_WITH_CUDA)
Outputs trace_on_cuda(const Tensor& origins, const Tensor& directions, const Tensor& mask, const Tensor& fractions,
                      const Tensor& hull, const Tensor& table, const Tensor& levels, const Tensor& scales,
                      const Tensor& level_weights, const Tensor& parameters, const Tensor& form,
                      const Tensor& settings) {
  torch::stable::accelerator::DeviceGuard guard(origins.get_device_index());
  const Problem problem = make_problem(origins, directions, mask, fractions, hull, table, levels, scales,
                                       level_weights, parameters, form, settings);
  const Outputs outputs = allocate_outputs(origins);
  check_cuda(launch_sphere_trace(problem.network, problem.hull, problem.settings, problem.rays, results_of(outputs),
                                 current_cuda_stream(origins)),
             "sphere_trace");
  return outputs;
}
#endif

}  // namespace
}  // namespace nsr

STABLE_TORCH_LIBRARY_FRAGMENT(nsr, library) {
  library.def(
      "sphere_trace(Tensor origins, Tensor directions, Tensor mask, Tensor fractions, Tensor hull, Tensor table,"
      " Tensor levels, Tensor scales, Tensor level_weights, Tensor parameters, Tensor form, Tensor settings)"
      " -> (Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) { library.impl("sphere_trace", TORCH_BOX(&nsr::trace_on_cpu)); }

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) { library.impl("sphere_trace", TORCH_BOX(&nsr::trace_on_cuda)); }
#endif
