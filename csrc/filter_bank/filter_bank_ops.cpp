// The filter bank's layers as torch operators.  The products of matrices between them are torch's own
// (nsr/ops/filter_bank_native.py); what is checked here is what memory safety needs.
#include "../common/torch_glue.h"
#include "filter_bank_launch.h"

#include <climits>
#include <tuple>

namespace nsr {

NSR_DECLARE_PER_ISA(FilterBankCpu, filter_bank_cpu)

namespace {

constexpr int64_t kPointsPerTask = 64;

// preactivations: [1 or 4, N, W]; bias, phase: [W]; grid: [N, C]; grid_jacobian: [N, C, 3], or empty for one stream;
// bands: [F, W], empty where the layer adds no band; the other tensors of a band are then not looked at.
FilterBankLayer make_layer(const Tensor& preactivations, const Tensor& bias, double frequency, const Tensor& grid,
                           const Tensor& grid_jacobian, const Tensor& bands, const Tensor& phase,
                           int64_t first_channel) {
  const ScalarType type = preactivations.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double, "filter_bank: float32 or float64 wanted");
  STD_TORCH_CHECK(preactivations.dim() == 3 && (preactivations.size(0) == 1 || preactivations.size(0) == 4),
                  "filter_bank: preactivations must be [1, N, W] or [4, N, W]");
  const int64_t streams = preactivations.size(0), count = preactivations.size(1), width = preactivations.size(2);
  const bool banded = bands.numel() > 0;
  const Tensor* tensors[] = {&preactivations, &bias, &grid, &grid_jacobian, &bands, &phase};
  for (int i = 0; i < (banded ? 6 : 2); ++i) {
    STD_TORCH_CHECK(tensors[i]->is_contiguous() && tensors[i]->scalar_type() == type &&
                        tensors[i]->is_cuda() == preactivations.is_cuda(),
                    "filter_bank: contiguous tensors of one type and device wanted");
  }
  STD_TORCH_CHECK(bias.numel() == width && width < INT32_MAX, "filter_bank: the bias must be [", width, "]");
  FilterBankLayer in{};
  in.count = count;
  in.streams = int32_t(streams);
  in.width = int32_t(width);
  in.is_double = type == ScalarType::Double;
  in.frequency = frequency;
  in.preactivations = preactivations.const_data_ptr();
  in.bias = bias.const_data_ptr();
  if (!banded) return in;
  STD_TORCH_CHECK(bands.dim() == 2 && bands.size(1) == width && phase.numel() == width,
                  "filter_bank: bands must be [F, ", width, "] and the phase [", width, "]");
  STD_TORCH_CHECK(grid.dim() == 2 && grid.size(0) == count && grid.size(1) < INT32_MAX,
                  "filter_bank: grid features must be [", count, ", C]");
  STD_TORCH_CHECK(first_channel >= 0 && bands.size(0) <= grid.size(1) - first_channel,
                  "filter_bank: the level's features do not lie among the channels");
  STD_TORCH_CHECK(streams == 1 || grid_jacobian.numel() == 3 * grid.numel(),
                  "filter_bank: tangents need the Jacobian of the grid features, [N, C, 3]");
  in.features = int32_t(bands.size(0));
  in.channels = int32_t(grid.size(1));
  in.first_channel = int32_t(first_channel);
  in.grid = grid.const_data_ptr();
  in.grid_jacobian = streams == 4 ? grid_jacobian.const_data_ptr() : nullptr;
  in.bands = bands.const_data_ptr();
  in.phase = phase.const_data_ptr();
  return in;
}

struct Gradients {
  Tensor preactivations, phases, hidden;

  Gradients(const FilterBankLayer& in, const Tensor& like)
      : preactivations(torch::stable::empty_like(like)),
        phases(torch::stable::new_empty(like, {in.features > 0 ? in.streams : 0, in.count, in.width})),
        hidden(torch::stable::empty_like(like)) {}

  void* phases_or_null() const { return phases.numel() > 0 ? phases.mutable_data_ptr() : nullptr; }
};

const void* gradient_pointer(const Tensor& gradient, const Tensor& preactivations) {
  STD_TORCH_CHECK(gradient.numel() == preactivations.numel() && gradient.is_contiguous() &&
                      gradient.scalar_type() == preactivations.scalar_type() &&
                      gradient.is_cuda() == preactivations.is_cuda(),
                  "filter_bank: the gradient must be contiguous, of the preactivations' shape, type and device");
  return gradient.const_data_ptr();
}

Tensor forward_cpu(const Tensor& preactivations, const Tensor& bias, double frequency, const Tensor& grid,
                   const Tensor& grid_jacobian, const Tensor& bands, const Tensor& phase, int64_t first_channel) {
  const FilterBankLayer in =
      make_layer(preactivations, bias, frequency, grid, grid_jacobian, bands, phase, first_channel);
  Tensor hidden = torch::stable::empty_like(preactivations);
  void* to = hidden.mutable_data_ptr();
  torch::stable::parallel_for(0, in.count, kPointsPerTask, [&](int64_t begin, int64_t end) {
    best_filter_bank_cpu().forward(in, begin, end, to);
  });
  return hidden;
}

std::tuple<Tensor, Tensor, Tensor> backward_cpu(const Tensor& gradient, const Tensor& preactivations,
                                                const Tensor& bias, double frequency, const Tensor& grid,
                                                const Tensor& grid_jacobian, const Tensor& bands, const Tensor& phase,
                                                int64_t first_channel) {
  const FilterBankLayer in =
      make_layer(preactivations, bias, frequency, grid, grid_jacobian, bands, phase, first_channel);
  const void* from = gradient_pointer(gradient, preactivations);
  Gradients to(in, preactivations);
  void *hidden = to.hidden.mutable_data_ptr(), *grad_preactivations = to.preactivations.mutable_data_ptr(),
       *grad_phases = to.phases_or_null();
  torch::stable::parallel_for(0, in.count, kPointsPerTask, [&](int64_t begin, int64_t end) {
    best_filter_bank_cpu().backward(in, begin, end, from, hidden, grad_preactivations, grad_phases);
  });
  return {to.preactivations, to.phases, to.hidden};
}

#if defined(NSR_WITH_CUDA)

Tensor forward_cuda(const Tensor& preactivations, const Tensor& bias, double frequency, const Tensor& grid,
                    const Tensor& grid_jacobian, const Tensor& bands, const Tensor& phase, int64_t first_channel) {
  torch::stable::accelerator::DeviceGuard guard(preactivations.get_device_index());
  const FilterBankLayer in =
      make_layer(preactivations, bias, frequency, grid, grid_jacobian, bands, phase, first_channel);
  Tensor hidden = torch::stable::empty_like(preactivations);
  check_cuda(launch_filter_bank_forward(in, hidden.mutable_data_ptr(), current_cuda_stream(preactivations)),
             "filter_bank forward");
  return hidden;
}

std::tuple<Tensor, Tensor, Tensor> backward_cuda(const Tensor& gradient, const Tensor& preactivations,
                                                 const Tensor& bias, double frequency, const Tensor& grid,
                                                 const Tensor& grid_jacobian, const Tensor& bands,
                                                 const Tensor& phase, int64_t first_channel) {
  torch::stable::accelerator::DeviceGuard guard(preactivations.get_device_index());
  const FilterBankLayer in =
      make_layer(preactivations, bias, frequency, grid, grid_jacobian, bands, phase, first_channel);
  const void* from = gradient_pointer(gradient, preactivations);
  Gradients to(in, preactivations);
  check_cuda(launch_filter_bank_backward(in, from, to.hidden.mutable_data_ptr(), to.preactivations.mutable_data_ptr(),
                                         to.phases_or_null(), current_cuda_stream(preactivations)),
             "filter_bank backward");
  return {to.preactivations, to.phases, to.hidden};
}

#endif

}  // namespace
}  // namespace nsr

STABLE_TORCH_LIBRARY_FRAGMENT(nsr, library) {
  library.def(
      "filter_bank_layer(Tensor preactivations, Tensor bias, float frequency, Tensor grid, Tensor grid_jacobian,"
      " Tensor bands, Tensor phase, int first_channel) -> Tensor");
  library.def(
      "filter_bank_layer_gradient(Tensor gradient, Tensor preactivations, Tensor bias, float frequency, Tensor grid,"
      " Tensor grid_jacobian, Tensor bands, Tensor phase, int first_channel) -> (Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) {
  library.impl("filter_bank_layer", TORCH_BOX(&nsr::forward_cpu));
  library.impl("filter_bank_layer_gradient", TORCH_BOX(&nsr::backward_cpu));
}

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) {
  library.impl("filter_bank_layer", TORCH_BOX(&nsr::forward_cuda));
  library.impl("filter_bank_layer_gradient", TORCH_BOX(&nsr::backward_cuda));
}
#endif
