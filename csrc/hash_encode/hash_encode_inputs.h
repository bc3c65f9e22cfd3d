// From the tensors that describe a grid to the plain data of the compiled bodies, checked for what memory safety needs.
#pragma once

#include "../common/torch_glue.h"
#include "hash_encode_launch.h"

namespace nsr {

inline Number number_of(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: return Number::kFloat;
    case ScalarType::Double: return Number::kDouble;
    case ScalarType::Half: return Number::kHalf;
    default: STD_TORCH_CHECK(false, "hash_encode: float32, float64 or (tables) float16 wanted");
  }
}

// levels: int64 [L, 5] on the CPU, rows (offset, size, stride_y, stride_z, storage); scales: float64 [L] on the CPU.
inline HashEncodeInputs make_inputs(const Tensor& positions, const Tensor& table, const Tensor& levels,
                                    const Tensor& scales, bool smoothstep) {
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

}  // namespace nsr
