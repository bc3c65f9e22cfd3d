// What the torch glue and the compiled bodies of a grid network agree on: plain data, raw pointers, no torch.
#pragma once

#include "../hash_encode/hash_encode_launch.h"

namespace nsr {

constexpr int kMaxInputs = 3 + 8 * kMaxLevels;
constexpr int kMaxWidth = 256;

// A signed distance network on a hash grid: the position and the features of the grid, each times its weight, go
// through hidden layers with softplus, all of one width, to one number.
struct GridNetwork {
  HashEncodeInputs grid;       // of float; points of the grid's own positions are not looked at
  const float* level_weights;  // [levels * features]
  // One after the other: of each hidden layer its weights [inputs, width] and biases [width]; the last layer's
  // weights [width], and its bias.
  const float* parameters;
  int32_t size;           // how many numbers that is
  int32_t inputs;         // 3 + levels * features
  int32_t layers, width;  // hidden layers, at least one; width is a multiple of 4
  float bound;            // the grid covers [-bound, bound]^3
  float beta;             // of softplus
};

// Bodies for the CPU, one set per instruction set.  Ranges are independent of each other.
struct FieldValueCpu {
  // Values of points [begin, end) of positions [count, 3].
  void (*evaluate)(const GridNetwork&, const float* positions, int64_t begin, int64_t end, float* values);
};

// Returns a cudaError_t.
int launch_field_value(const GridNetwork&, const float* positions, int64_t count, float* values, void* stream);

}  // namespace nsr
