// The hash grid on CUDA.  Forward and table gradient: one thread for a point and a level, levels one after the other,
// so that the blocks that run together share a level's table in the cache.  Position gradient: one thread for a point.
#include "../common/cuda_launch.h"
#include "hash_encode.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kThreads = 256;

// Features that one thread interpolates at a time: as many as keep everything in registers.
template <class S, int F>
constexpr int kTogether = sizeof(S) == 4 && F >= 2 ? 2 : 1;

// Where a point is in one level.
template <class S>
struct Place {
  uint32_t rows[8];
  Weight<S> x, y, z;
};

template <class S>
NSR_INLINE Place<S> find_place(const HashEncodeInputs& in, const Level& level, int64_t point) {
  const S* position = static_cast<const S*>(in.positions) + 3 * point;
  const S scale = S(level.scale);
  const Coordinate<S> x = locate(position[0], scale), y = locate(position[1], scale), z = locate(position[2], scale);
  Place<S> place;
  for (int corner = 0; corner < 8; ++corner) {
    if (level.storage == kHash) {
      place.rows[corner] = corner_row<kHash>(level, x.cell, y.cell, z.cell, corner);
    } else if (level.storage == kTiled) {
      place.rows[corner] = corner_row<kTiled>(level, x.cell, y.cell, z.cell, corner);
    } else {
      place.rows[corner] = corner_row<kDense>(level, x.cell, y.cell, z.cell, corner);
    }
  }
  place.x = interpolation_weight(x.fraction, x.slope, in.smoothstep);
  place.y = interpolation_weight(y.fraction, y.slope, in.smoothstep);
  place.z = interpolation_weight(z.fraction, z.slope, in.smoothstep);
  return place;
}

NSR_INLINE float as_number(float value) { return value; }
NSR_INLINE double as_number(double value) { return value; }
NSR_INLINE float as_number(Half value) { return to_float(value); }

// C features of a row in one access.
template <class T, int C>
struct alignas(sizeof(T) * C) Piece {
  T number[C];
};

template <class S, class T, int F, int C>
NSR_INLINE void load_edges(const T* table, const uint32_t rows[8], int feature, Lanes<S, 2 * C> edges[4]) {
  for (int corner = 0; corner < 8; ++corner) {
    const Piece<T, C> piece = *reinterpret_cast<const Piece<T, C>*>(table + size_t(rows[corner]) * F + feature);
    for (int i = 0; i < C; ++i) edges[corner & 3][(corner >> 2) * C + i] = as_number(piece.number[i]);
  }
}

template <class S, int C>
NSR_INLINE void load_gradients(const HashEncodeGradients& gradients, bool with_jacobian, int64_t channel,
                               Lanes<S, 2 * C>& value, Lanes<S, 2 * C> first[3]) {
  const S* from = static_cast<const S*>(gradients.features) + channel;
  for (int i = 0; i < 2 * C; ++i) value[i] = from[i % C];
  if (with_jacobian) {
    from = static_cast<const S*>(gradients.jacobian) + 3 * channel;
    for (int axis = 0; axis < 3; ++axis)
      for (int i = 0; i < 2 * C; ++i) first[axis][i] = from[3 * (i % C) + axis];
  }
}

template <class S, class T, int F, bool kJacobian>
__global__ void __launch_bounds__(kThreads)
    forward(const __grid_constant__ HashEncodeInputs in, S* features, S* jacobian) {
  constexpr int C = kTogether<S, F>;
  const int64_t point = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (point >= in.count) return;
  const Level& level = in.level[blockIdx.y];
  const Place<S> place = find_place<S>(in, level, point);
  const T* table = static_cast<const T*>(in.table) + level.offset * F;
  for (int feature = 0; feature < F; feature += C) {
    const int64_t channel = (point * in.levels + blockIdx.y) * F + feature;
    Lanes<S, 2 * C> edges[4], value, derivative[3];
    load_edges<S, T, F, C>(table, place.rows, feature, edges);
    interpolate_cell<C>(edges, place.x, place.y, place.z, value, derivative);
    for (int i = 0; i < C; ++i) {
      features[channel + i] = value[i];
      if constexpr (kJacobian)
        for (int axis = 0; axis < 3; ++axis) jacobian[3 * (channel + i) + axis] = derivative[axis][i];
    }
  }
}

template <class S, int F, bool kJacobian>
__global__ void __launch_bounds__(kThreads)
    table_gradient(const __grid_constant__ HashEncodeInputs in, const HashEncodeGradients gradients, S* gradient,
                   double inverse_quantum, unsigned long long* sums, uint8_t* marks) {
  constexpr int C = kTogether<S, F>;
  const int64_t point = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (point >= in.count) return;
  const Level& level = in.level[blockIdx.y];
  const Place<S> place = find_place<S>(in, level, point);
  if (marks != nullptr)
    for (int corner = 0; corner < 8; ++corner) marks[(level.offset + place.rows[corner]) / kBlockRows] = 1;
  for (int feature = 0; feature < F; feature += C) {
    Lanes<S, 2 * C> grad_value, grad_first[3], edges[4];
    load_gradients<S, C>(gradients, kJacobian, (point * in.levels + blockIdx.y) * F + feature, grad_value, grad_first);
    edge_gradients<C>(place.x, place.y, place.z, grad_value, kJacobian ? grad_first : nullptr, edges);
    for (int corner = 0; corner < 8; ++corner) {
      const int64_t to = (level.offset + place.rows[corner]) * F + feature;
      for (int i = 0; i < C; ++i) {
        const S part = edges[corner & 3][(corner >> 2) * C + i];
        if (sums != nullptr) {
          atomicAdd(sums + to + i, static_cast<unsigned long long>(__double2ll_rn(double(part) * inverse_quantum)));
        } else {
          atomicAdd(gradient + to + i, part);
        }
      }
    }
  }
}

template <class S>
__global__ void __launch_bounds__(kThreads)
    from_quanta(const unsigned long long* sums, double quantum, int64_t count, S* gradient) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) gradient[i] += S(double(static_cast<long long>(sums[i])) * quantum);
}

template <class S, class T, int F>
__global__ void __launch_bounds__(kThreads)
    position_gradient(const __grid_constant__ HashEncodeInputs in, const HashEncodeGradients gradients, S* gradient) {
  constexpr int C = kTogether<S, F>;
  const int64_t point = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (point >= in.count) return;
  const bool with_jacobian = gradients.jacobian != nullptr;
  S sum[3] = {};
  for (int l = 0; l < in.levels; ++l) {
    const Level& level = in.level[l];
    const Place<S> place = find_place<S>(in, level, point);
    const T* table = static_cast<const T*>(in.table) + level.offset * F;
    for (int feature = 0; feature < F; feature += C) {
      Lanes<S, 2 * C> edges[4], grad_value, grad_first[3], terms[3];
      load_edges<S, T, F, C>(table, place.rows, feature, edges);
      load_gradients<S, C>(gradients, with_jacobian, (point * in.levels + l) * F + feature, grad_value, grad_first);
      coordinate_gradient<C>(edges, place.x, place.y, place.z, grad_value, with_jacobian ? grad_first : nullptr, terms);
      for (int axis = 0; axis < 3; ++axis)
        for (int i = 0; i < C; ++i) sum[axis] += terms[axis][i];
    }
  }
  for (int axis = 0; axis < 3; ++axis) gradient[3 * point + axis] = sum[axis];
}

inline unsigned blocks_for(int64_t count) { return unsigned((count + kThreads - 1) / kThreads); }

template <class S, class T, int F>
void start_forward(const HashEncodeInputs& in, void* features_out, void* jacobian_out, void* stream) {
  S *features = static_cast<S*>(features_out), *jacobian = static_cast<S*>(jacobian_out);
  const dim3 grid(blocks_for(in.count), unsigned(in.levels));
  if (jacobian != nullptr) {
    NSR_LAUNCH((forward<S, T, F, true>), grid, dim3(kThreads), stream, in, features, jacobian);
  } else {
    NSR_LAUNCH((forward<S, T, F, false>), grid, dim3(kThreads), stream, in, features, jacobian);
  }
}

template <class S, int F>
void start_table_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, void* out, double quantum,
                          void* scratch, int64_t rows, uint8_t* marks, void* stream) {
  S* gradient = static_cast<S*>(out);
  unsigned long long* sums = quantum > 0 ? static_cast<unsigned long long*>(scratch) : nullptr;
  const double inverse = quantum > 0 ? 1.0 / quantum : 0.0;
  const dim3 grid(blocks_for(in.count), unsigned(in.levels));
  if (gradients.jacobian != nullptr) {
    NSR_LAUNCH((table_gradient<S, F, true>), grid, dim3(kThreads), stream, in, gradients, gradient, inverse, sums,
               marks);
  } else {
    NSR_LAUNCH((table_gradient<S, F, false>), grid, dim3(kThreads), stream, in, gradients, gradient, inverse, sums,
               marks);
  }
  if (sums != nullptr)
    NSR_LAUNCH(from_quanta<S>, dim3(blocks_for(rows * F)), dim3(kThreads), stream, sums, quantum, rows * F, gradient);
}

template <class S, class T, int F>
void start_position_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, void* out,
                             void* stream) {
  S* gradient = static_cast<S*>(out);
  NSR_LAUNCH((position_gradient<S, T, F>), dim3(blocks_for(in.count)), dim3(kThreads), stream, in, gradients,
             gradient);
}

// Calls start.run<S, T, F>() for the types and width of the inputs; without points there is nothing to launch.
template <class S, class T, class Start>
void with_width(int features, const Start& start) {
  switch (features) {
    case 1: return start.template run<S, T, 1>();
    case 2: return start.template run<S, T, 2>();
    case 4: return start.template run<S, T, 4>();
    default: return start.template run<S, T, 8>();
  }
}
template <class Start>
int with_types(const HashEncodeInputs& in, const Start& start) {
  if (in.count == 0) return 0;
  if (in.number == Number::kDouble) {
    with_width<double, double>(in.features, start);
  } else if (in.table_number == Number::kHalf) {
    with_width<float, Half>(in.features, start);
  } else {
    with_width<float, float>(in.features, start);
  }
  return int(cudaGetLastError());
}

struct Forward {
  const HashEncodeInputs& in;
  void *features, *jacobian, *stream;
  template <class S, class T, int F>
  void run() const {
    start_forward<S, T, F>(in, features, jacobian, stream);
  }
};

struct TableGradient {
  const HashEncodeInputs& in;
  const HashEncodeGradients& gradients;
  void* out;
  double quantum;
  void* scratch;
  int64_t rows;
  uint8_t* marks;
  void* stream;
  template <class S, class T, int F>  // the table itself is not read: its type makes no difference
  void run() const {
    start_table_gradient<S, F>(in, gradients, out, quantum, scratch, rows, marks, stream);
  }
};

struct PositionGradient {
  const HashEncodeInputs& in;
  const HashEncodeGradients& gradients;
  void *out, *stream;
  template <class S, class T, int F>
  void run() const {
    start_position_gradient<S, T, F>(in, gradients, out, stream);
  }
};

}  // namespace
NSR_NAMESPACE_END

namespace nsr {

int launch_hash_encode_forward(const HashEncodeInputs& in, void* features, void* jacobian, void* stream) {
  return with_types(in, Forward{in, features, jacobian, stream});
}

int launch_hash_encode_table_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients, void* gradient,
                                      double quantum, void* scratch, int64_t rows, uint8_t* marks, void* stream) {
  return with_types(in, TableGradient{in, gradients, gradient, quantum, scratch, rows, marks, stream});
}

int launch_hash_encode_position_gradient(const HashEncodeInputs& in, const HashEncodeGradients& gradients,
                                         void* gradient, void* stream) {
  return with_types(in, PositionGradient{in, gradients, gradient, stream});
}

}  // namespace nsr
