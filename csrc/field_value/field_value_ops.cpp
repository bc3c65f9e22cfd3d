// Values of a grid network as a torch operator.  Shapes are checked in Python (nsr/ops/field_value.py).
#include "grid_network_inputs.h"

namespace nsr {

NSR_DECLARE_PER_WIDE_ISA(FieldValueCpu, field_value_cpu)

namespace {

constexpr int64_t kPointsPerTask = 384;

Tensor field_value_on_cpu(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                          const Tensor& level_weights, const Tensor& parameters, const Tensor& form) {
  const GridNetwork network = make_network(positions, table, levels, scales, level_weights, parameters, form);
  Tensor values = torch::stable::new_empty(positions, {network.grid.count});
  const float* from = static_cast<const float*>(positions.const_data_ptr());
  float* to = static_cast<float*>(values.mutable_data_ptr());
  torch::stable::parallel_for(0, network.grid.count, kPointsPerTask, [&](int64_t begin, int64_t end) {
    best_field_value_cpu().evaluate(network, from, begin, end, to);
  });
  return values;
}

#if defined(NSR_WITH_CUDA)
Tensor field_value_on_cuda(const Tensor& positions, const Tensor& table, const Tensor& levels, const Tensor& scales,
                           const Tensor& level_weights, const Tensor& parameters, const Tensor& form) {
  torch::stable::accelerator::DeviceGuard guard(positions.get_device_index());
  const GridNetwork network = make_network(positions, table, levels, scales, level_weights, parameters, form);
  Tensor values = torch::stable::new_empty(positions, {network.grid.count});
  check_cuda(launch_field_value(network, static_cast<const float*>(positions.const_data_ptr()), network.grid.count,
                                static_cast<float*>(values.mutable_data_ptr()), current_cuda_stream(positions)),
             "field_value");
  return values;
}
#endif

}  // namespace
}  // namespace nsr

STABLE_TORCH_LIBRARY_FRAGMENT(nsr, library) {
  library.def(
      "field_value(Tensor positions, Tensor table, Tensor levels, Tensor scales, Tensor level_weights,"
      " Tensor parameters, Tensor form) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) { library.impl("field_value", TORCH_BOX(&nsr::field_value_on_cpu)); }

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) { library.impl("field_value", TORCH_BOX(&nsr::field_value_on_cuda)); }
#endif
