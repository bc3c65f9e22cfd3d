// The filter bank's layers on the CPU, by SIMD across a layer's width.  Compiled once per instruction set.
#include "filter_bank.h"

NSR_NAMESPACE_BEGIN
namespace {

template <class S>
constexpr int kLanes = sizeof(S) == 4 ? kSineLanes : 4;

// A few numbers of a row from a column on; beyond the row's end there are zeros.
template <class V, class S>
NSR_INLINE V load(const S* row, int count) {
  V vector{};
  if (count == kLanes<S>) {
    std::memcpy(&vector, row, sizeof vector);
  } else {
    for (int i = 0; i < count; ++i) vector[i] = row[i];
  }
  return vector;
}
template <class V, class S>
NSR_INLINE void store(S* row, int count, const V& vector) {
  if (count == kLanes<S>) {
    std::memcpy(row, &vector, sizeof vector);
  } else {
    for (int i = 0; i < count; ++i) row[i] = vector[i];
  }
}

// Arrays [streams, count, width]: where a point's columns lie in each stream.
template <class S>
struct Rows {
  S* first;
  int64_t stream;  // numbers from one stream to the next

  Rows(void* array, const FilterBankLayer& in, int64_t point)
      : first(static_cast<S*>(array) + point * in.width), stream(in.count * in.width) {}
  Rows(const void* array, const FilterBankLayer& in, int64_t point) : Rows(const_cast<void*>(array), in, point) {}

  template <int kStreams, class V>
  NSR_INLINE void read(int column, int count, V to[4]) const {
    for (int s = 0; s < kStreams; ++s) to[s] = load<V>(first + s * stream + column, count);
  }
  template <int kStreams, class V>
  NSR_INLINE void write(int column, int count, const V from[4]) const {
    for (int s = 0; s < kStreams; ++s) store(first + s * stream + column, count, from[s]);
  }
};

// The phases z of a point's band, in turns, and their tangents.
template <bool kTangents, class V, class S>
NSR_INLINE void band_phases(const FilterBankLayer& in, int64_t point, int column, int count, V phases[4]) {
  const int64_t channel = point * in.channels + in.first_channel;
  const S* grid = static_cast<const S*>(in.grid) + channel;
  const S* jacobian = kTangents ? static_cast<const S*>(in.grid_jacobian) + 3 * channel : nullptr;
  const S* bands = static_cast<const S*>(in.bands) + column;
  for (int s = 0; s < (kTangents ? 4 : 1); ++s) phases[s] = V{};
  for (int f = 0; f < in.features; ++f) {
    const V band = load<V>(bands + int64_t(f) * in.width, count);
    phases[0] = phases[0] + band * grid[f];
    if (kTangents)
      for (int axis = 0; axis < 3; ++axis) phases[1 + axis] = phases[1 + axis] + band * jacobian[3 * f + axis];
  }
}

// Calls body(column, numbers) for all pieces of a row.
template <class S, class Body>
NSR_INLINE void for_each_piece(int width, const Body& body) {
  int column = 0;
  for (; column + kLanes<S> <= width; column += kLanes<S>) body(column, kLanes<S>);
  if (column < width) body(column, width - column);
}

template <class S, bool kTangents>
void forward(const FilterBankLayer& in, int64_t begin, int64_t end, void* hidden) {
  typedef Lanes<S, kLanes<S>> V;
  constexpr int kStreams = kTangents ? 4 : 1;
  const S *bias = static_cast<const S*>(in.bias), *phase = static_cast<const S*>(in.phase);
  for (int64_t point = begin; point < end; ++point) {
    const Rows<S> preactivations(in.preactivations, in, point), to(hidden, in, point);
    for_each_piece<S>(in.width, [&](int column, int count) {
      V input[4], output[4];
      preactivations.template read<kStreams>(column, count, input);
      input[0] = input[0] + load<V>(bias + column, count);
      wave<kTangents>(input, S(in.frequency), V{}, output);
      if (in.features > 0) {
        V phases[4], band[4];
        band_phases<kTangents, V, S>(in, point, column, count, phases);
        wave<kTangents>(phases, S(kTwoPi), load<V>(phase + column, count), band);
        for (int s = 0; s < kStreams; ++s) output[s] = output[s] + band[s];
      }
      to.template write<kStreams>(column, count, output);
    });
  }
}

template <class S, bool kTangents>
void backward(const FilterBankLayer& in, int64_t begin, int64_t end, const void* gradient, void* hidden,
              void* grad_preactivations, void* grad_phases) {
  typedef Lanes<S, kLanes<S>> V;
  constexpr int kStreams = kTangents ? 4 : 1;
  const S *bias = static_cast<const S*>(in.bias), *phase = static_cast<const S*>(in.phase);
  for (int64_t point = begin; point < end; ++point) {
    const Rows<S> preactivations(in.preactivations, in, point), gradients(gradient, in, point),
        to_hidden(hidden, in, point), to_preactivations(grad_preactivations, in, point);
    for_each_piece<S>(in.width, [&](int column, int count) {
      V input[4], output[4], incoming[4], outgoing[4];
      preactivations.template read<kStreams>(column, count, input);
      gradients.template read<kStreams>(column, count, incoming);
      input[0] = input[0] + load<V>(bias + column, count);
      wave_gradient<kTangents>(input, S(in.frequency), V{}, incoming, output, outgoing);
      to_preactivations.template write<kStreams>(column, count, outgoing);
      if (in.features > 0) {
        V phases[4], band[4];
        band_phases<kTangents, V, S>(in, point, column, count, phases);
        wave_gradient<kTangents>(phases, S(kTwoPi), load<V>(phase + column, count), incoming, band, outgoing);
        Rows<S>(grad_phases, in, point).template write<kStreams>(column, count, outgoing);
        for (int s = 0; s < kStreams; ++s) output[s] = output[s] + band[s];
      }
      to_hidden.template write<kStreams>(column, count, output);
    });
  }
}

void run_forward(const FilterBankLayer& in, int64_t begin, int64_t end, void* hidden) {
  const auto run = in.is_double ? (in.streams == 4 ? forward<double, true> : forward<double, false>)
                                : (in.streams == 4 ? forward<float, true> : forward<float, false>);
  run(in, begin, end, hidden);
}

void run_backward(const FilterBankLayer& in, int64_t begin, int64_t end, const void* gradient, void* hidden,
                  void* grad_preactivations, void* grad_phases) {
  const auto run = in.is_double ? (in.streams == 4 ? backward<double, true> : backward<double, false>)
                                : (in.streams == 4 ? backward<float, true> : backward<float, false>);
  run(in, begin, end, gradient, hidden, grad_preactivations, grad_phases);
}

}  // namespace

extern const FilterBankCpu filter_bank_cpu;
const FilterBankCpu filter_bank_cpu{run_forward, run_backward};

NSR_NAMESPACE_END
