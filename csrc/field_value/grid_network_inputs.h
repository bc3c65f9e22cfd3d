// From the tensors that describe a grid network to the plain data of the compiled bodies, checked for what memory
// safety needs.
#pragma once

#include "../hash_encode/hash_encode_inputs.h"
#include "field_value_launch.h"

namespace nsr {

// A tensor of float32 that a body may read `numbers` of.
inline const float* float_pointer(const Tensor& tensor, const Tensor& positions, int64_t numbers, const char* name) {
  STD_TORCH_CHECK(tensor.scalar_type() == ScalarType::Float && tensor.is_contiguous() && tensor.numel() == numbers &&
                      tensor.is_cuda() == positions.is_cuda(),
                  name, " must be ", numbers, " contiguous numbers of float32, on the device of the positions");
  return static_cast<const float*>(tensor.const_data_ptr());
}

// The numbers of a small tensor of float64 on the CPU.
inline const double* plain_numbers(const Tensor& tensor, int64_t numbers, const char* name) {
  STD_TORCH_CHECK(tensor.is_cpu() && tensor.scalar_type() == ScalarType::Double && tensor.is_contiguous() &&
                      tensor.numel() == numbers,
                  name, " must be ", numbers, " numbers of float64, on the CPU");
  return static_cast<const double*>(tensor.const_data_ptr());
}

inline int32_t count_of(double value, const char* name) {
  STD_TORCH_CHECK(value >= 0 && value < double(1 << 24), name, " = ", value);
  return int32_t(value);
}

// form: smoothstep (0 or 1), hidden layers, width, bound, beta.
inline GridNetwork make_network(const Tensor& positions, const Tensor& table, const Tensor& levels,
                                const Tensor& scales, const Tensor& level_weights, const Tensor& parameters,
                                const Tensor& form) {
  const double* numbers = plain_numbers(form, 5, "form");
  GridNetwork network{};
  network.grid = make_inputs(positions, table, levels, scales, numbers[0] != 0);
  STD_TORCH_CHECK(network.grid.number == Number::kFloat, "a grid network wants float32 positions");
  STD_TORCH_CHECK(table.is_cuda() == positions.is_cuda(), "table and positions must be on one device");
  const int64_t layers = network.layers = count_of(numbers[1], "layers");
  const int64_t width = network.width = count_of(numbers[2], "width");
  network.bound = float(numbers[3]);
  network.beta = float(numbers[4]);
  STD_TORCH_CHECK(layers >= 1 && width >= 4 && width <= kMaxWidth && width % 4 == 0 && network.bound > 0 &&
                      network.beta > 0,
                  "a grid network wants a hidden layer, a width that is a multiple of 4 and at most ", kMaxWidth,
                  ", a bound and a beta above 0");
  const int64_t channels = int64_t(network.grid.levels) * network.grid.features;
  network.level_weights = float_pointer(level_weights, positions, channels, "level weights");
  network.inputs = int32_t(3 + channels);
  const int64_t size = (network.inputs + 1) * width + (layers - 1) * (width + 1) * width + width + 1;
  STD_TORCH_CHECK(size < int64_t(1) << 30, "a grid network of ", layers, " layers is too large");
  network.size = int32_t(size);
  network.parameters = float_pointer(parameters, positions, size, "parameters");
  return network;
}

}  // namespace nsr
