// The hash grid as torch operators.  Shapes are checked in Python (nsr/ops/hash_encode.py), once for all bodies; what
// is checked here is what memory safety needs.
#include "../common/large_pages.h"
#include "../common/torch_glue.h"
#include "hash_encode_launch.h"

#include <algorithm>
#include <atomic>
#include <tuple>

namespace nsr {

NSR_DECLARE_PER_ISA(HashEncodeCpu, hash_encode_cpu)

namespace {

constexpr int64_t kPointsPerTask = 512;

Number number_of(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: return Number::kFloat;
    case ScalarType::Double: return Number::kDouble;
    case ScalarType::Half: return Number::kHalf;
    default: STD_TORCH_CHECK(false, "hash_encode: float32, float64 or (tables) float16 wanted");
  }
}

// levels: int64 [L, 5] on the CPU, rows (offset, size, stride_y, stride_z, storage); scales: float64 [L] on the CPU.
HashEncodeInputs make_inputs(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                             bool smoothstep) {
  STD_TORCH_CHECK(positions.dim() == 2 && positions.size(1) == 3 && table.dim() == 2, "hash_encode: wrong shapes");
  STD_TORCH_CHECK(positions.is_contiguous() && table.is_contiguous() && levels.is_contiguous(),
                  "hash_encode: contiguous tensors wanted");
  STD_TORCH_CHECK(levels.is_cpu() && scales.is_cpu() && levels.scalar_type() == ScalarType::Long &&
                      scales.scalar_type() == ScalarType::Double && levels.dim() == 2 && levels.size(1) == 5 &&
                      scales.numel() == levels.size(0),
                  "hash_encode: levels must be int64 [L, 5] and scales float64 [L], both on the CPU");
  HashEncodeInputs in{};
  in.count = positions.size(0);
  in.positions = positions.const_data_ptr();
  in.table = table.const_data_ptr();
  in.number = number_of(positions);
  in.table_number = number_of(table);
  STD_TORCH_CHECK(in.number != Number::kHalf, "hash_encode: positions must be float32 or float64");
  STD_TORCH_CHECK(in.table_number == in.number || (in.table_number == Number::kHalf && in.number == Number::kFloat),
                  "hash_encode: the table must be of the positions' type, or float16 beside float32");
  const int64_t features = table.size(1);
  STD_TORCH_CHECK(features == 1 || features == 2 || features == 4 || features == 8,
                  "hash_encode: 1, 2, 4 or 8 features wanted, got ", features);
  in.features = int32_t(features);
  STD_TORCH_CHECK(levels.size(0) >= 1 && levels.size(0) <= kMaxLevels, "hash_encode: 1 to ", kMaxLevels, " levels");
  in.levels = int32_t(levels.size(0));
  in.smoothstep = smoothstep;
  const int64_t* row = static_cast<const int64_t*>(levels.const_data_ptr());
  const double* scale = static_cast<const double*>(scales.const_data_ptr());
  for (int l = 0; l < in.levels; ++l, row += 5) {
    const int64_t size = row[1];
    STD_TORCH_CHECK(row[0] >= 0 && size > 0 && size <= int64_t(1) << 31 && row[0] + size <= table.size(0),
                    "hash_encode: level ", l, " does not lie in the table");
    STD_TORCH_CHECK(row[4] == kDense || ((row[4] == kHash || row[4] == kTiled) && (size & (size - 1)) == 0),
                    "hash_encode: level ", l, " has no storage of its kind");
    // Rows of a dense level wrap around once: its last vertex must lie below twice the size.
    const bool single = in.number == Number::kFloat;
    const double last = double(single ? int64_t(float(scale[l]) + 0.5f) : int64_t(scale[l] + 0.5)) + 1;
    STD_TORCH_CHECK(scale[l] >= 0 && last < 1073741824.0, "hash_encode: level ", l, " has the scale ", scale[l]);
    STD_TORCH_CHECK(row[4] != kDense || last * double(1 + row[2] + row[3]) < 2.0 * double(size),
                    "hash_encode: level ", l, " is too small for dense storage");
    in.level[l] = {scale[l], row[0], uint32_t(size), uint32_t(row[2]), uint32_t(row[3]), Storage(row[4])};
  }
  return in;
}

// Null for an empty tensor.
const void* gradient_pointer(const Tensor& gradient, const Tensor& positions, int64_t numbers) {
  if (gradient.numel() == 0) return nullptr;
  STD_TORCH_CHECK(gradient.numel() == numbers && gradient.is_contiguous() &&
                      gradient.scalar_type() == positions.scalar_type() &&
                      gradient.is_cuda() == positions.is_cuda(),
                  "hash_encode: a gradient must be contiguous, of its output's shape, type and device");
  return gradient.const_data_ptr();
}

HashEncodeGradients make_gradients(const HashEncodeInputs& in, const Tensor& positions, const Tensor& features,
                                   const Tensor& jacobian) {
  const int64_t numbers = in.count * in.levels * in.features;
  HashEncodeGradients gradients{gradient_pointer(features, positions, numbers),
                                gradient_pointer(jacobian, positions, 3 * numbers)};
  STD_TORCH_CHECK(in.count == 0 || gradients.features != nullptr,
                  "hash_encode: the gradient in the features is wanted; only that in the Jacobian may be empty");
  return gradients;
}

std::tuple<Tensor, Tensor> allocate_outputs(const HashEncodeInputs& in, const Tensor& positions, bool jacobian) {
  const int64_t channels = int64_t(in.levels) * in.features;
  return {torch::stable::new_empty(positions, {in.count, channels}),
          torch::stable::new_empty(positions, {jacobian ? in.count : 0, channels, 3})};
}

std::tuple<Tensor, Tensor> forward_cpu(const Tensor& positions, const Tensor& table, const Tensor& levels,
                                       const Tensor& scales, bool smoothstep, bool jacobian) {
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  auto [features, derivative] = allocate_outputs(in, positions, jacobian);
  void *to = features.mutable_data_ptr(), *derivative_to = jacobian ? derivative.mutable_data_ptr() : nullptr;
  torch::stable::parallel_for(0, in.count, kPointsPerTask, [&](int64_t begin, int64_t end) {
    best_hash_encode_cpu().forward(in, begin, end, to, derivative_to);
  });
  return {features, derivative};
}

Tensor table_gradient_cpu(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                          bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian, double) {
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  Tensor gradient = torch::stable::new_empty(positions, {table.size(0), table.size(1)});
  void* to = gradient.mutable_data_ptr();
  prefer_large_pages(to, size_t(gradient.numel()) * gradient.element_size());
  // Each level is one thread's, whichever comes first to it: sums are in the order of the points.
  std::atomic<int32_t> taken{0};
  const int64_t workers = std::min<int64_t>(in.levels, torch::stable::get_num_threads());
  torch::stable::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    for (int32_t level = taken++; level < in.levels; level = taken++)
      best_hash_encode_cpu().table_gradient(in, gradients, in.levels - 1 - level, to);
  });
  return gradient;
}

Tensor position_gradient_cpu(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                             bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian) {
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  Tensor gradient = torch::stable::empty_like(positions);
  void* to = gradient.mutable_data_ptr();
  torch::stable::parallel_for(0, in.count, kPointsPerTask, [&](int64_t begin, int64_t end) {
    best_hash_encode_cpu().position_gradient(in, gradients, begin, end, to);
  });
  return gradient;
}

#if defined(NSR_WITH_CUDA)

std::tuple<Tensor, Tensor> forward_cuda(const Tensor& positions, const Tensor& table, const Tensor& levels,
                                        const Tensor& scales, bool smoothstep, bool jacobian) {
  torch::stable::accelerator::DeviceGuard guard(positions.get_device_index());
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  auto [features, derivative] = allocate_outputs(in, positions, jacobian);
  check_cuda(launch_hash_encode_forward(in, features.mutable_data_ptr(),
                                        jacobian ? derivative.mutable_data_ptr() : nullptr,
                                        current_cuda_stream(positions)),
             "hash_encode forward");
  return {features, derivative};
}

Tensor table_gradient_cuda(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                           bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian,
                           double quantum) {
  torch::stable::accelerator::DeviceGuard guard(positions.get_device_index());
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  Tensor gradient = torch::stable::new_zeros(positions, {table.size(0), table.size(1)});
  Tensor sums = torch::stable::new_zeros(positions, {quantum > 0 ? table.size(0) : 0, table.size(1)}, ScalarType::Long);
  check_cuda(launch_hash_encode_table_gradient(in, gradients, gradient.mutable_data_ptr(), quantum,
                                               quantum > 0 ? sums.mutable_data_ptr() : nullptr, table.size(0),
                                               current_cuda_stream(positions)),
             "hash_encode table gradient");
  return gradient;
}

Tensor position_gradient_cuda(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                              bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian) {
  torch::stable::accelerator::DeviceGuard guard(positions.get_device_index());
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  Tensor gradient = torch::stable::empty_like(positions);
  check_cuda(launch_hash_encode_position_gradient(in, gradients, gradient.mutable_data_ptr(),
                                                  current_cuda_stream(positions)),
             "hash_encode position gradient");
  return gradient;
}

#endif

}  // namespace
}  // namespace nsr

STABLE_TORCH_LIBRARY_FRAGMENT(nsr, library) {
  library.def(
      "hash_encode(Tensor positions, Tensor table, Tensor levels, Tensor scales, bool smoothstep, bool jacobian)"
      " -> (Tensor, Tensor)");
  library.def(
      "hash_encode_table_gradient(Tensor positions, Tensor table, Tensor levels, Tensor scales, bool smoothstep,"
      " Tensor grad_features, Tensor grad_jacobian, float quantum) -> Tensor");
  library.def(
      "hash_encode_position_gradient(Tensor positions, Tensor table, Tensor levels, Tensor scales, bool smoothstep,"
      " Tensor grad_features, Tensor grad_jacobian) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) {
  library.impl("hash_encode", TORCH_BOX(&nsr::forward_cpu));
  library.impl("hash_encode_table_gradient", TORCH_BOX(&nsr::table_gradient_cpu));
  library.impl("hash_encode_position_gradient", TORCH_BOX(&nsr::position_gradient_cpu));
}

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) {
  library.impl("hash_encode", TORCH_BOX(&nsr::forward_cuda));
  library.impl("hash_encode_table_gradient", TORCH_BOX(&nsr::table_gradient_cuda));
  library.impl("hash_encode_position_gradient", TORCH_BOX(&nsr::position_gradient_cuda));
}
#endif
