// A grid network on the CPU, at a batch of points at a time: by SIMD across points, with channels one after the other.
#pragma once

#include "../common/wide.h"
#include "../hash_encode/hash_encode.h"
#include "field_value_launch.h"

NSR_NAMESPACE_BEGIN
namespace {

// Points of a batch: their activations, and the weights of one layer, stay in a core's own cache.
constexpr int kBatch = 48;
static_assert(kBatch % (3 * kWide) == 0 || kWide < 8);

NSR_INLINE float table_number(float value) { return value; }
NSR_INLINE float table_number(Half value) { return to_float(value); }

// Two pieces of F numbers each as one vector of 2F.
template <int F, class T>
NSR_INLINE Lanes<float, 2 * F> join_corners(const T* lower, const T* upper) {
  typedef Lanes<float, 2 * F> Edge;
  if constexpr (sizeof(T) == 4 && F == 2) {
    double ends[2];
    std::memcpy(&ends[0], lower, 8);
    std::memcpy(&ends[1], upper, 8);
    return (Edge)Lanes<double, 2>{ends[0], ends[1]};
  } else {
    Edge edge;
    for (int i = 0; i < F; ++i) edge[i] = table_number(lower[i]);
    for (int i = 0; i < F; ++i) edge[F + i] = table_number(upper[i]);
    return edge;
  }
}

// A network and the place its activations are kept in while it is evaluated: one for each thread.
class BatchEvaluator {
 public:
  explicit BatchEvaluator(const GridNetwork& network) : network_(network), grid_(network.grid) {
    // The levels that are still closed, which are the finest, cost nothing.
    const auto closed = [&](int level) {
      for (int f = 0; f < grid_.features; ++f)
        if (network.level_weights[level * grid_.features + f] != 0.0f) return false;
      return true;
    };
    levels_ = grid_.levels;
    while (levels_ > 0 && closed(levels_ - 1)) --levels_;
  }

  // Where the points of a batch are to be written, axis by axis.
  float* axis(int index) { return channels_[index]; }

  // Values of the first `count` points of the batch, up to kBatch of them.
  void evaluate(int count, float* values) {
    switch (grid_.features * 2 + (grid_.table_number == Number::kHalf)) {
      case 2: encode<float, 1>(count); break;
      case 3: encode<Half, 1>(count); break;
      case 4: encode<float, 2>(count); break;
      case 5: encode<Half, 2>(count); break;
      case 8: encode<float, 4>(count); break;
      case 9: encode<Half, 4>(count); break;
      case 16: encode<float, 8>(count); break;
      default: encode<Half, 8>(count); break;
    }
    int inputs = 3 + levels_ * grid_.features;
    const int width = network_.width;
    const float* weights = network_.parameters;
    float (*from)[kBatch] = channels_, (*to)[kBatch] = hidden_[0];
    for (int layer = 0; layer < network_.layers; ++layer) {
      const float* biases = weights + (layer == 0 ? network_.inputs : width) * width;
      hidden_layer(weights, biases, from, inputs, to, count);
      weights = biases + width;
      inputs = width;
      from = to;
      to = hidden_[(layer + 1) & 1];
    }
    for (int point = 0; point < count; point += kWide) {
      Wide sum = all_lanes(weights[width]);
      for (int i = 0; i < width; ++i) sum = multiply_add(load_wide(from[i] + point), all_lanes(weights[i]), sum);
      if (point + kWide <= count) {
        store_wide(values + point, sum);
      } else {
        std::memcpy(values + point, &sum, sizeof(float) * size_t(count - point));
      }
    }
  }

 private:
  template <class T, int F>
  void encode(int count) {
    for (int i = count; i < kBatch && i % kWide != 0; ++i)
      for (int a = 0; a < 3; ++a) channels_[a][i] = 0.0f;
    // The division of nsr/fields/hash_grid.py.
    const float bound = network_.bound, extent = 2.0f * bound;
    for (int a = 0; a < 3; ++a)
      for (int i = 0; i < kBatch; ++i) unit_[a][i] = (channels_[a][i] + bound) / extent;
    for (int l = 0; l < levels_; ++l) {
      const Level& level = grid_.level[l];
      locate_level(level);
      interpolate_level<T, F>(static_cast<const T*>(grid_.table) + level.offset * F, network_.level_weights + l * F,
                              channels_ + 3 + l * F, count);
    }
  }

  template <bool kSmoothstep>
  static void find_cells(const float* __restrict unit, float scale, uint32_t* __restrict cells,
                         float* __restrict weights) {
    for (int i = 0; i < kBatch; ++i) {
      const Coordinate<float> at = locate(unit[i], scale);
      cells[i] = at.cell;
      weights[i] = interpolation_weight(at.fraction, at.slope, kSmoothstep).value;
    }
  }

  template <Storage kStorage>
  void find_rows(const Level level) {
    for (int corner = 0; corner < 8; ++corner) {
      uint32_t* __restrict const to = rows_[corner];
      for (int i = 0; i < kBatch; ++i)
        to[i] = corner_row<kStorage>(level, cells_[0][i], cells_[1][i], cells_[2][i], corner);
    }
  }

  void locate_level(const Level& level) {
    for (int a = 0; a < 3; ++a)
      (grid_.smoothstep ? find_cells<true> : find_cells<false>)(unit_[a], float(level.scale), cells_[a], weights_[a]);
    if (level.storage == kHash) {
      find_rows<kHash>(level);
    } else if (level.storage == kTiled) {
      find_rows<kTiled>(level);
    } else {
      find_rows<kDense>(level);
    }
  }

  template <class T, int F>
  void interpolate_level(const T* table, const float* level_weights, float (*to)[kBatch], int count) {
    typedef Lanes<float, 2 * F> Edge;
    for (int i = 0; i < count; ++i) {
      Edge edges[4];
      for (int edge = 0; edge < 4; ++edge)
        edges[edge] =
            join_corners<F>(table + size_t(rows_[edge][i]) * F, table + size_t(rows_[4 + edge][i]) * F);
      const Face<Edge> face = interpolate_face(edges, weights_[1][i], weights_[2][i]);
      const Edge value = at_edge<F>(face.value, weights_[0][i]);
      for (int f = 0; f < F; ++f) to[f][i] = value[f] * level_weights[f];
    }
  }

  // kRows neurons at kVectors * kWide points: as many sums as registers hold.
  template <int kRows, int kVectors>
  void tile(const float* __restrict weights, const float* biases, const float (*from)[kBatch], int inputs,
            float (*to)[kBatch], int point) {
    const int width = network_.width;
    Wide sums[kRows][kVectors];
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) sums[r][v] = all_lanes(biases[r]);
    for (int c = 0; c < inputs; ++c) {
      Wide input[kVectors];
      for (int v = 0; v < kVectors; ++v) input[v] = load_wide(from[c] + point + v * kWide);
      for (int r = 0; r < kRows; ++r) {
        const Wide weight = all_lanes(weights[c * width + r]);
        for (int v = 0; v < kVectors; ++v) sums[r][v] = multiply_add(weight, input[v], sums[r][v]);
      }
    }
    const Wide beta = all_lanes(network_.beta), inverse_beta = all_lanes(1.0f / network_.beta);
    for (int r = 0; r < kRows; ++r) {
      softplus(sums[r], beta, inverse_beta);
      for (int v = 0; v < kVectors; ++v) store_wide(to[r] + point + v * kWide, sums[r][v]);
    }
  }

  void hidden_layer(const float* weights, const float* biases, const float (*from)[kBatch], int inputs,
                    float (*to)[kBatch], int count) {
    for (int row = 0; row < network_.width; row += 4) {
      int point = 0;
      for (; point + 2 * kWide < count; point += 3 * kWide)
        tile<4, 3>(weights + row, biases + row, from, inputs, to + row, point);
      for (; point < count; point += kWide) tile<4, 1>(weights + row, biases + row, from, inputs, to + row, point);
    }
  }

  const GridNetwork& network_;
  const HashEncodeInputs& grid_;
  int levels_;  // that are open
  alignas(64) float channels_[kMaxInputs][kBatch] = {};
  alignas(64) float hidden_[2][kMaxWidth][kBatch];
  alignas(64) float unit_[3][kBatch], weights_[3][kBatch];
  alignas(64) uint32_t cells_[3][kBatch], rows_[8][kBatch];
};

}  // namespace
NSR_NAMESPACE_END
