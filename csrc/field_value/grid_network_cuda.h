// A grid network on CUDA: one thread, one point.  The network lies in shared memory, and so do a thread's activations
// between two layers; the sums of a layer are in registers.
#pragma once

#include "../common/cuda_launch.h"
#include "../hash_encode/hash_encode.h"
#include "field_value_launch.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kBlock = 64;        // threads of a block
constexpr int kBlocksAtOnce = 4;  // on a multiprocessor, at least: leaves a thread all the registers it can have

// Floats before the activations in the shared memory of a block, and all of it.
NSR_INLINE int parameter_floats(const GridNetwork& network) { return (network.size + 3) / 4 * 4; }
inline int shared_floats(const GridNetwork& network) { return parameter_floats(network) + network.width * kBlock; }

// log(1 + exp(beta x)) / beta.
NSR_INLINE float softplus(float x, float beta) {
  const float line = x < 0.0f ? 0.0f : x;  // NaN stays
  return line + log1pf(expf(-beta * (line + line - x))) / beta;
}

// What a thread evaluates a network with.  W: its width; C: features that are interpolated together.
template <int C, int W>
class PointEvaluator {
 public:
  // Every thread of a block must construct one, at the same time.
  __device__ PointEvaluator(const GridNetwork& network, float* shared) : network_(network), parameters_(shared) {
    for (int i = int(threadIdx.x); i < network.size; i += int(blockDim.x)) shared[i] = network.parameters[i];
    activations_ = shared + parameter_floats(network) + threadIdx.x;
    __syncthreads();
  }

  __device__ float value(const float point[3]) {
    float sums[W];
    const float* weights = parameters_;
    const int inputs = network_.inputs;
    load_biases(weights + inputs * W, sums);
    for (int a = 0; a < 3; ++a) add_input(weights + a * W, point[a], sums);
    add_features(weights + 3 * W, point, sums);
    weights += (inputs + 1) * W;
    for (int layer = 1; layer < network_.layers; ++layer) {
#pragma unroll
      for (int i = 0; i < W; ++i) activations_[i * kBlock] = softplus(sums[i], network_.beta);
      load_biases(weights + W * W, sums);
#pragma unroll 1
      for (int i = 0; i < W; ++i) add_input(weights + i * W, activations_[i * kBlock], sums);
      weights += (W + 1) * W;
    }
    float value = weights[W];
#pragma unroll
    for (int i = 0; i < W; ++i) value += weights[i] * softplus(sums[i], network_.beta);
    return value;
  }

 private:
  __device__ static void load_biases(const float* biases, float sums[W]) {
#pragma unroll
    for (int i = 0; i < W; ++i) sums[i] = biases[i];
  }
  __device__ static void add_input(const float* weights, float input, float sums[W]) {
#pragma unroll
    for (int i = 0; i < W; ++i) sums[i] += weights[i] * input;
  }

  __device__ void add_features(const float* weights, const float point[3], float sums[W]) {
    const HashEncodeInputs& grid = network_.grid;
    const float bound = network_.bound, extent = 2.0f * bound;
#pragma unroll 1
    for (int l = 0; l < grid.levels; ++l) {
      const Level& level = grid.level[l];
      const float scale = float(level.scale);
      const Coordinate<float> x = locate((point[0] + bound) / extent, scale),
                              y = locate((point[1] + bound) / extent, scale),
                              z = locate((point[2] + bound) / extent, scale);
      const float weight_x = interpolation_weight(x.fraction, x.slope, grid.smoothstep).value;
      const float weight_y = interpolation_weight(y.fraction, y.slope, grid.smoothstep).value;
      const float weight_z = interpolation_weight(z.fraction, z.slope, grid.smoothstep).value;
      uint32_t rows[8];
      for (int corner = 0; corner < 8; ++corner) {
        if (level.storage == kHash) {
          rows[corner] = corner_row<kHash>(level, x.cell, y.cell, z.cell, corner);
        } else if (level.storage == kTiled) {
          rows[corner] = corner_row<kTiled>(level, x.cell, y.cell, z.cell, corner);
        } else {
          rows[corner] = corner_row<kDense>(level, x.cell, y.cell, z.cell, corner);
        }
      }
#pragma unroll 1
      for (int feature = 0; feature < grid.features; feature += C) {
        Lanes<float, 2 * C> edges[4];
        for (int corner = 0; corner < 8; ++corner) {
          const int64_t entry = (level.offset + rows[corner]) * grid.features + feature;
          for (int i = 0; i < C; ++i) edges[corner & 3][(corner >> 2) * C + i] = table_number(grid, entry + i);
        }
        const Face<Lanes<float, 2 * C>> face = interpolate_face(edges, weight_y, weight_z);
        const Lanes<float, 2 * C> value = at_edge<C>(face.value, weight_x);
        for (int i = 0; i < C; ++i) {
          const int channel = l * grid.features + feature + i;
          add_input(weights + channel * W, value[i] * network_.level_weights[channel], sums);
        }
      }
    }
  }

  __device__ static float table_number(const HashEncodeInputs& grid, int64_t index) {
    if (grid.table_number == Number::kHalf) return to_float(static_cast<const Half*>(grid.table)[index]);
    return static_cast<const float*>(grid.table)[index];
  }

  const GridNetwork& network_;
  const float* parameters_;
  float* activations_;
};

// Calls start.run<C, W>() for a network's features and width, which is 32 or 64.  Returns a cudaError_t.
template <class Start>
int with_network(const GridNetwork& network, const Start& start) {
  const bool pairs = network.grid.features > 1;
  if (network.width == 32) {
    pairs ? start.template run<2, 32>() : start.template run<1, 32>();
  } else if (network.width == 64) {
    pairs ? start.template run<2, 64>() : start.template run<1, 64>();
  } else {
    return 1;  // cudaErrorInvalidValue
  }
  return int(cudaGetLastError());
}

}  // namespace
NSR_NAMESPACE_END
