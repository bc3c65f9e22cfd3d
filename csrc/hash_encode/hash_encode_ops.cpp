// The hash grid as torch operators.  Shapes are checked in Python (nsr/ops/hash_encode.py), once for all bodies; what
// is checked here is what memory safety needs.
#include "../common/large_pages.h"
#include "../common/torch_glue.h"
#include "hash_encode_inputs.h"

#include <algorithm>
#include <atomic>
#include <tuple>

namespace nsr {

NSR_DECLARE_PER_ISA(HashEncodeCpu, hash_encode_cpu)

namespace {

constexpr int64_t kPointsPerTask = 512;

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

// Each level is one thread's, whichever comes first to it: sums are in the order of the points.
void table_gradient_levels(const HashEncodeInputs& in, const HashEncodeGradients& gradients, void* to,
                           uint8_t* marks) {
  std::atomic<int32_t> taken{0};
  const int64_t workers = std::min<int64_t>(in.levels, torch::stable::get_num_threads());
  torch::stable::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    for (int32_t level = taken++; level < in.levels; level = taken++)
      best_hash_encode_cpu().table_gradient(in, gradients, in.levels - 1 - level, to, marks);
  });
}

void check_sum(const Tensor& positions, const Tensor& table, const Tensor& sum, const Tensor& touched) {
  STD_TORCH_CHECK(sum.dim() == 2 && sum.size(0) == table.size(0) && sum.size(1) == table.size(1) &&
                      sum.is_contiguous() && sum.scalar_type() == positions.scalar_type() &&
                      sum.is_cuda() == positions.is_cuda(),
                  "hash_encode: the sum must be contiguous, of the table's shape, of the positions' type and device");
  STD_TORCH_CHECK(touched.numel() == (table.size(0) + kBlockRows - 1) / kBlockRows && touched.is_contiguous() &&
                      touched.scalar_type() == ScalarType::Byte && touched.is_cuda() == positions.is_cuda(),
                  "hash_encode: a mark for every ", kBlockRows, " rows is wanted");
}

Tensor table_gradient_cpu(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                          bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian, double) {
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  Tensor gradient = torch::stable::new_empty(positions, {table.size(0), table.size(1)});
  void* to = gradient.mutable_data_ptr();
  prefer_large_pages(to, size_t(gradient.numel()) * gradient.element_size());
  table_gradient_levels(in, gradients, to, nullptr);
  return gradient;
}

void add_table_gradient_cpu(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                            bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian,
                            const Tensor& sum, const Tensor& touched) {
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  check_sum(positions, table, sum, touched);
  table_gradient_levels(in, gradients, sum.mutable_data_ptr(), static_cast<uint8_t*>(touched.mutable_data_ptr()));
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
                                               quantum > 0 ? sums.mutable_data_ptr() : nullptr, table.size(0), nullptr,
                                               current_cuda_stream(positions)),
             "hash_encode table gradient");
  return gradient;
}

void add_table_gradient_cuda(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                             bool smoothstep, const Tensor& grad_features, const Tensor& grad_jacobian,
                             const Tensor& sum, const Tensor& touched) {
  torch::stable::accelerator::DeviceGuard guard(positions.get_device_index());
  const HashEncodeInputs in = make_inputs(positions, table, levels, scales, smoothstep);
  const HashEncodeGradients gradients = make_gradients(in, positions, grad_features, grad_jacobian);
  check_sum(positions, table, sum, touched);
  check_cuda(launch_hash_encode_table_gradient(in, gradients, sum.mutable_data_ptr(), 0.0, nullptr, table.size(0),
                                               static_cast<uint8_t*>(touched.mutable_data_ptr()),
                                               current_cuda_stream(positions)),
             "hash_encode table gradient");
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
      "hash_encode_add_table_gradient(Tensor positions, Tensor table, Tensor levels, Tensor scales, bool smoothstep,"
      " Tensor grad_features, Tensor grad_jacobian, Tensor(a!) sum, Tensor(b!) touched) -> ()");
  library.def(
      "hash_encode_position_gradient(Tensor positions, Tensor table, Tensor levels, Tensor scales, bool smoothstep,"
      " Tensor grad_features, Tensor grad_jacobian) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) {
  library.impl("hash_encode", TORCH_BOX(&nsr::forward_cpu));
  library.impl("hash_encode_table_gradient", TORCH_BOX(&nsr::table_gradient_cpu));
  library.impl("hash_encode_add_table_gradient", TORCH_BOX(&nsr::add_table_gradient_cpu));
  library.impl("hash_encode_position_gradient", TORCH_BOX(&nsr::position_gradient_cpu));
}

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) {
  library.impl("hash_encode", TORCH_BOX(&nsr::forward_cuda));
  library.impl("hash_encode_table_gradient", TORCH_BOX(&nsr::table_gradient_cuda));
  library.impl("hash_encode_add_table_gradient", TORCH_BOX(&nsr::add_table_gradient_cuda));
  library.impl("hash_encode_position_gradient", TORCH_BOX(&nsr::position_gradient_cuda));
}
#endif
