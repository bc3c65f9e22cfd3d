// The hash grid on the CPU.  Compiled once per instruction set, each time with its own NSR_ISA.
//
// Points are worked on one level after the other, a long stretch of them for each, so that a level's table stays in
// the cache.  Blocks of points are located together (by SIMD across points); then each point is interpolated by SIMD
// across features, with the two ends of an edge in one vector.
#include "hash_encode.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kStretch = 65536;
constexpr int kChunk = 512;
constexpr int kBlock = 32;
constexpr int64_t kPrefetchBytes = 1 << 19;  // tables above this size do not stay in a core's own cache

// Positions of a chunk, axis by axis; padded with zeros to whole blocks.
template <class S>
struct Chunk {
  S axis[3][kChunk];
  int count;

  Chunk(const S* positions, int64_t begin, int64_t end) : count(int(end - begin)) {
    for (int i = 0; i < count; ++i)
      for (int a = 0; a < 3; ++a) axis[a][i] = positions[3 * (begin + i) + a];
    for (int i = count; i % kBlock != 0; ++i)
      for (int a = 0; a < 3; ++a) axis[a][i] = S(0);
  }
};

// Where the points of a block are in one level.
template <class S>
struct alignas(64) Block {
  uint32_t rows[8][kBlock];
  S value[3][kBlock], slope[3][kBlock], curvature[3][kBlock];

  Weight<S> weight(int axis, int i) const { return {value[axis][i], slope[axis][i], curvature[axis][i]}; }
};

// A corner at a time: loops so plain are vectorised.
template <Storage kStorage>
void find_rows(const Level level, const uint32_t cells[3][kBlock], uint32_t rows[8][kBlock]) {
  for (int corner = 0; corner < 8; ++corner) {
    uint32_t* __restrict const to = rows[corner];
    for (int i = 0; i < kBlock; ++i)
      to[i] = corner_row<kStorage>(level, cells[0][i], cells[1][i], cells[2][i], corner);
  }
}

template <bool kSmoothstep, class S>
void find_weights(const S* __restrict positions, S scale, uint32_t* __restrict cells, S* __restrict value,
                  S* __restrict slope, S* __restrict curvature) {
  for (int i = 0; i < kBlock; ++i) {
    const Coordinate<S> at = locate(positions[i], scale);
    const Weight<S> weight = interpolation_weight(at.fraction, at.slope, kSmoothstep);
    cells[i] = at.cell;
    value[i] = weight.value;
    slope[i] = weight.slope;
    curvature[i] = weight.curvature;
  }
}

template <class S>
void locate_block(const HashEncodeInputs& in, const Level& level, const Chunk<S>& chunk, int first, Block<S>& block) {
  alignas(64) uint32_t cells[3][kBlock];
  for (int axis = 0; axis < 3; ++axis) {
    const auto find = in.smoothstep ? find_weights<true, S> : find_weights<false, S>;
    find(chunk.axis[axis] + first, S(level.scale), cells[axis], block.value[axis], block.slope[axis],
         block.curvature[axis]);
  }
  if (level.storage == kHash) {
    find_rows<kHash>(level, cells, block.rows);
  } else if (level.storage == kTiled) {
    find_rows<kTiled>(level, cells, block.rows);
  } else {
    find_rows<kDense>(level, cells, block.rows);
  }
}

NSR_INLINE float as_number(float value) { return value; }
NSR_INLINE double as_number(double value) { return value; }
NSR_INLINE float as_number(Half value) { return to_float(value); }

// Two pieces of F numbers each as one vector of 2F.
template <class S, int F, class T>
NSR_INLINE Lanes<S, 2 * F> join(const T* lower, const T* upper) {
  typedef Lanes<S, 2 * F> E;
  if constexpr (sizeof(T) * F == 8 && sizeof(T) == sizeof(S)) {
    double ends[2];
    std::memcpy(&ends[0], lower, 8);
    std::memcpy(&ends[1], upper, 8);
    return (E)Lanes<double, 2>{ends[0], ends[1]};
  } else {
    E edge;
    for (int i = 0; i < F; ++i) edge[i] = as_number(lower[i]);
    for (int i = 0; i < F; ++i) edge[F + i] = as_number(upper[i]);
    return edge;
  }
}

template <class S, class T, int F>
NSR_INLINE void load_edges(const T* table, const Block<S>& block, int i, Lanes<S, 2 * F> edges[4]) {
  for (int edge = 0; edge < 4; ++edge)
    edges[edge] = join<S, F>(table + size_t(block.rows[edge][i]) * F, table + size_t(block.rows[4 + edge][i]) * F);
}

template <int F, class S, class E>
NSR_INLINE void store_first_half(S* out, const E& edge) {
  std::memcpy(out, &edge, sizeof(S) * F);
}

// Adds to the F numbers at a row.
template <int F, class S, class E>
NSR_INLINE void add_half(S* row, const E& edge) {
  for (int i = 0; i < F; ++i) row[i] += edge[i];
}

template <class T, int F>
void prefetch_rows(const T* table, const uint32_t rows[8][kBlock]) {
  for (int corner = 0; corner < 8; ++corner)
    for (int i = 0; i < kBlock; ++i) __builtin_prefetch(table + size_t(rows[corner][i]) * F);
}

// Calls body(block, first, count) for each block of a chunk; rows of large tables are fetched one block ahead.
template <class S, class T, int F, class Body>
NSR_INLINE void for_each_block(const HashEncodeInputs& in, const Level& level, const Chunk<S>& chunk, const T* table,
                               const Body& body) {
  const bool prefetch = int64_t(level.size) * F * int64_t(sizeof(T)) > kPrefetchBytes;
  Block<S> blocks[2];
  locate_block(in, level, chunk, 0, blocks[0]);
  for (int first = 0, turn = 0; first < chunk.count; first += kBlock, turn ^= 1) {
    if (first + kBlock < chunk.count) {
      locate_block(in, level, chunk, first + kBlock, blocks[turn ^ 1]);
      if (prefetch) prefetch_rows<T, F>(table, blocks[turn ^ 1].rows);
    }
    const int rest = chunk.count - first;
    body(blocks[turn], first, rest < kBlock ? rest : kBlock);
  }
}

NSR_INLINE int64_t step(int64_t begin, int64_t end, int64_t length) {
  return end - begin < length ? end : begin + length;
}

// Calls body(l, level, chunk, start) for all levels of all chunks of a range, one level of a stretch after the other.
template <class S, class Body>
NSR_INLINE void for_each_chunk(const HashEncodeInputs& in, int64_t begin, int64_t end, const Body& body) {
  for (int64_t stretch = begin; stretch < end; stretch = step(stretch, end, kStretch)) {
    const int64_t stretch_end = step(stretch, end, kStretch);
    for (int l = 0; l < in.levels; ++l)
      for (int64_t start = stretch; start < stretch_end; start = step(start, stretch_end, kChunk))
        body(l, in.level[l], Chunk<S>(static_cast<const S*>(in.positions), start, step(start, stretch_end, kChunk)),
             start);
  }
}

template <class S, class T, int F, bool kJacobian>
void forward(const HashEncodeInputs& in, int64_t begin, int64_t end, void* features_out, void* jacobian_out) {
  typedef Lanes<S, 2 * F> E;
  const int64_t channels = int64_t(in.levels) * F;
  S *features = static_cast<S*>(features_out), *jacobian = static_cast<S*>(jacobian_out);
  for_each_chunk<S>(in, begin, end, [&](int l, const Level& level, const Chunk<S>& chunk, int64_t start) {
    const T* table = static_cast<const T*>(in.table) + level.offset * F;
    for_each_block<S, T, F>(in, level, chunk, table, [&](const Block<S>& block, int first, int count) {
      for (int i = 0; i < count; ++i) {
        const int64_t channel = (start + first + i) * channels + int64_t(l) * F;
        E edges[4];
        load_edges<S, T, F>(table, block, i, edges);
        if constexpr (kJacobian) {
          E value, derivative[3];
          interpolate_cell<F>(edges, block.weight(0, i), block.weight(1, i), block.weight(2, i), value, derivative);
          store_first_half<F>(features + channel, value);
          for (int f = 0; f < F; ++f)
            for (int axis = 0; axis < 3; ++axis) jacobian[3 * (channel + f) + axis] = derivative[axis][f];
        } else {
          const Face<E> face = interpolate_face(edges, block.value[1][i], block.value[2][i]);
          store_first_half<F>(features + channel, at_edge<F>(face.value, block.value[0][i]));
        }
      }
    });
  });
}

// Gradients of one point and level, each twice: once for either end of an edge.
template <class S, int F, bool kJacobian>
NSR_INLINE void load_gradients(const HashEncodeGradients& gradients, int64_t channel, Lanes<S, 2 * F>& value,
                               Lanes<S, 2 * F> first[3]) {
  const S* from = static_cast<const S*>(gradients.features) + channel;
  value = join<S, F>(from, from);
  if constexpr (kJacobian) {
    from = static_cast<const S*>(gradients.jacobian) + 3 * channel;
    for (int axis = 0; axis < 3; ++axis)
      for (int f = 0; f < 2 * F; ++f) first[axis][f] = from[3 * (f % F) + axis];
  }
}

template <class S, int F, bool kJacobian, bool kMarks>
void table_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, int32_t l, void* gradient_out,
                    uint8_t* marks) {
  typedef Lanes<S, 2 * F> E;
  const Level& level = in.level[l];
  const int64_t channels = int64_t(in.levels) * F;
  S* gradient = static_cast<S*>(gradient_out) + level.offset * F;
  if (!kMarks) std::memset(gradient, 0, size_t(level.size) * F * sizeof(S));
  for (int64_t start = 0; start < in.count; start = step(start, in.count, kChunk)) {
    const Chunk<S> chunk(static_cast<const S*>(in.positions), start, step(start, in.count, kChunk));
    for_each_block<S, S, F>(in, level, chunk, gradient, [&](const Block<S>& block, int first, int count) {
      for (int i = 0; i < count; ++i) {
        E grad_value, grad_first[3] = {}, edges[4];
        load_gradients<S, F, kJacobian>(gradients, (start + first + i) * channels + int64_t(l) * F, grad_value,
                                        grad_first);
        edge_gradients<F>(block.weight(0, i), block.weight(1, i), block.weight(2, i), grad_value,
                          kJacobian ? grad_first : nullptr, edges);
        for (int edge = 0; edge < 4; ++edge) {
          add_half<F>(gradient + size_t(block.rows[edge][i]) * F, edges[edge]);
          add_half<F>(gradient + size_t(block.rows[4 + edge][i]) * F, swap_halves<2 * F>(edges[edge]));
        }
        if constexpr (kMarks)
          for (int corner = 0; corner < 8; ++corner)
            marks[size_t(level.offset + block.rows[corner][i]) / kBlockRows] = 1;
      }
    });
  }
}

template <class S, class T, int F, bool kJacobian>
void position_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, int64_t begin, int64_t end,
                       void* gradient_out) {
  typedef Lanes<S, 2 * F> E;
  const int64_t channels = int64_t(in.levels) * F;
  S* gradient = static_cast<S*>(gradient_out);
  std::memset(gradient + 3 * begin, 0, size_t(end - begin) * 3 * sizeof(S));
  for_each_chunk<S>(in, begin, end, [&](int l, const Level& level, const Chunk<S>& chunk, int64_t start) {
    const T* table = static_cast<const T*>(in.table) + level.offset * F;
    for_each_block<S, T, F>(in, level, chunk, table, [&](const Block<S>& block, int first, int count) {
      for (int i = 0; i < count; ++i) {
        const int64_t point = start + first + i;
        E edges[4], grad_value, grad_first[3] = {}, terms[3];
        load_edges<S, T, F>(table, block, i, edges);
        load_gradients<S, F, kJacobian>(gradients, point * channels + int64_t(l) * F, grad_value, grad_first);
        coordinate_gradient<F>(edges, block.weight(0, i), block.weight(1, i), block.weight(2, i), grad_value,
                               kJacobian ? grad_first : nullptr, terms);
        for (int axis = 0; axis < 3; ++axis) {
          S sum = S(0);
          for (int f = 0; f < F; ++f) sum += terms[axis][f];
          gradient[3 * point + axis] += sum;
        }
      }
    });
  });
}

// Runs Call<S, T, F>::run(...) for the types and width of the inputs.
template <template <class, class, int> class Call, class S, class T, class... Arguments>
void with_width(const HashEncodeInputs& in, Arguments... arguments) {
  switch (in.features) {
    case 1: return Call<S, T, 1>::run(in, arguments...);
    case 2: return Call<S, T, 2>::run(in, arguments...);
    case 4: return Call<S, T, 4>::run(in, arguments...);
    default: return Call<S, T, 8>::run(in, arguments...);
  }
}
template <template <class, class, int> class Call, class... Arguments>
void with_types(const HashEncodeInputs& in, Arguments... arguments) {
  if (in.number == Number::kDouble) return with_width<Call, double, double>(in, arguments...);
  if (in.table_number == Number::kHalf) return with_width<Call, float, Half>(in, arguments...);
  return with_width<Call, float, float>(in, arguments...);
}

template <class S, class T, int F>
struct Forward {
  static void run(const HashEncodeInputs& in, int64_t begin, int64_t end, void* features, void* jacobian) {
    if (jacobian != nullptr) return forward<S, T, F, true>(in, begin, end, features, jacobian);
    forward<S, T, F, false>(in, begin, end, features, jacobian);
  }
};

// The table itself is not read: half tables share the body of float ones.
template <class S, class, int F>
struct TableGradient {
  static void run(const HashEncodeInputs& in, const HashEncodeGradients* gradients, int32_t level, void* out,
                  uint8_t* marks) {
    const auto body = gradients->jacobian == nullptr
                          ? (marks == nullptr ? table_gradient<S, F, false, false> : table_gradient<S, F, false, true>)
                          : (marks == nullptr ? table_gradient<S, F, true, false> : table_gradient<S, F, true, true>);
    body(in, *gradients, level, out, marks);
  }
};

template <class S, class T, int F>
struct PositionGradient {
  static void run(const HashEncodeInputs& in, const HashEncodeGradients* gradients, int64_t begin, int64_t end,
                  void* out) {
    if (gradients->jacobian == nullptr) return position_gradient<S, T, F, false>(in, *gradients, begin, end, out);
    position_gradient<S, T, F, true>(in, *gradients, begin, end, out);
  }
};

void run_forward(const HashEncodeInputs& in, int64_t begin, int64_t end, void* features, void* jacobian) {
  with_types<Forward>(in, begin, end, features, jacobian);
}
void run_table_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, int32_t level, void* out,
                        uint8_t* marks) {
  with_types<TableGradient>(in, &gradients, level, out, marks);
}
void run_position_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, int64_t begin,
                           int64_t end, void* out) {
  with_types<PositionGradient>(in, &gradients, begin, end, out);
}

}  // namespace

extern const HashEncodeCpu hash_encode_cpu;
const HashEncodeCpu hash_encode_cpu{run_forward, run_table_gradient, run_position_gradient};

NSR_NAMESPACE_END
