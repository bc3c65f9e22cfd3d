// The filter bank's layers on CUDA: one thread for a point and a column of the layer.
#include "../common/cuda_launch.h"
#include "filter_bank.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kThreads = 256;

// Of a thread: its point and column, and where its number of the first stream is in arrays [streams, count, width].
struct Place {
  int64_t index, point, stream;
  int column;

  NSR_INLINE explicit Place(const FilterBankLayer& in)
      : index(int64_t(blockIdx.x) * blockDim.x + threadIdx.x), stream(in.count * in.width) {
    // A division of 64 bits costs as much as a sine.
    point = stream <= UINT32_MAX ? int64_t(uint32_t(index) / uint32_t(in.width)) : index / in.width;
    column = int(index - point * in.width);
  }
};

template <int kStreams, class S>
NSR_INLINE void read(const void* array, const Place& at, S to[4]) {
  for (int s = 0; s < kStreams; ++s) to[s] = static_cast<const S*>(array)[at.index + s * at.stream];
}
template <int kStreams, class S>
NSR_INLINE void write(void* array, const Place& at, const S from[4]) {
  for (int s = 0; s < kStreams; ++s) static_cast<S*>(array)[at.index + s * at.stream] = from[s];
}

// The phases z of the band, in turns, and their tangents.
template <bool kTangents, class S>
NSR_INLINE void band_phases(const FilterBankLayer& in, const Place& at, S phases[4]) {
  const int64_t channel = at.point * in.channels + in.first_channel;
  const S* grid = static_cast<const S*>(in.grid) + channel;
  const S* jacobian = kTangents ? static_cast<const S*>(in.grid_jacobian) + 3 * channel : nullptr;
  const S* bands = static_cast<const S*>(in.bands) + at.column;
  for (int s = 0; s < 4; ++s) phases[s] = S(0);
  for (int f = 0; f < in.features; ++f) {
    const S band = bands[int64_t(f) * in.width];
    phases[0] += band * grid[f];
    if (kTangents)
      for (int axis = 0; axis < 3; ++axis) phases[1 + axis] += band * jacobian[3 * f + axis];
  }
}

template <class S, bool kTangents>
__global__ void __launch_bounds__(kThreads) forward(const __grid_constant__ FilterBankLayer in, void* hidden) {
  constexpr int kStreams = kTangents ? 4 : 1;
  const Place at(in);
  if (at.index >= at.stream) return;
  S input[4], output[4];
  read<kStreams>(in.preactivations, at, input);
  input[0] += static_cast<const S*>(in.bias)[at.column];
  wave<kTangents>(input, S(in.frequency), S(0), output);
  if (in.features > 0) {
    S phases[4], band[4];
    band_phases<kTangents>(in, at, phases);
    wave<kTangents>(phases, S(kTwoPi), static_cast<const S*>(in.phase)[at.column], band);
    for (int s = 0; s < kStreams; ++s) output[s] += band[s];
  }
  write<kStreams>(hidden, at, output);
}

template <class S, bool kTangents>
__global__ void __launch_bounds__(kThreads)
    backward(const __grid_constant__ FilterBankLayer in, const void* gradient, void* hidden, void* grad_preactivations,
             void* grad_phases) {
  constexpr int kStreams = kTangents ? 4 : 1;
  const Place at(in);
  if (at.index >= at.stream) return;
  S input[4], output[4], incoming[4], outgoing[4];
  read<kStreams>(in.preactivations, at, input);
  read<kStreams>(gradient, at, incoming);
  input[0] += static_cast<const S*>(in.bias)[at.column];
  wave_gradient<kTangents>(input, S(in.frequency), S(0), incoming, output, outgoing);
  write<kStreams>(grad_preactivations, at, outgoing);
  if (in.features > 0) {
    S phases[4], band[4];
    band_phases<kTangents>(in, at, phases);
    wave_gradient<kTangents>(phases, S(kTwoPi), static_cast<const S*>(in.phase)[at.column], incoming, band, outgoing);
    write<kStreams>(grad_phases, at, outgoing);
    for (int s = 0; s < kStreams; ++s) output[s] += band[s];
  }
  write<kStreams>(hidden, at, output);
}

// Calls start.run<S, kTangents>(grid) for the type and the streams of a layer; an empty one has nothing to launch.
template <class Start>
int with_types(const FilterBankLayer& in, const Start& start) {
  const int64_t threads = in.count * in.width;
  if (threads == 0) return 0;
  const dim3 grid(unsigned((threads + kThreads - 1) / kThreads));
  if (in.is_double) {
    in.streams == 4 ? start.template run<double, true>(grid) : start.template run<double, false>(grid);
  } else {
    in.streams == 4 ? start.template run<float, true>(grid) : start.template run<float, false>(grid);
  }
  return int(cudaGetLastError());
}

struct Forward {
  const FilterBankLayer& in;
  void *hidden, *stream;
  template <class S, bool kTangents>
  void run(dim3 grid) const {
    NSR_LAUNCH((forward<S, kTangents>), grid, dim3(kThreads), stream, in, hidden);
  }
};

struct Backward {
  const FilterBankLayer& in;
  const void* gradient;
  void *hidden, *grad_preactivations, *grad_phases, *stream;
  template <class S, bool kTangents>
  void run(dim3 grid) const {
    NSR_LAUNCH((backward<S, kTangents>), grid, dim3(kThreads), stream, in, gradient, hidden, grad_preactivations,
               grad_phases);
  }
};

}  // namespace
NSR_NAMESPACE_END

namespace nsr {

int launch_filter_bank_forward(const FilterBankLayer& in, void* hidden, void* stream) {
  return with_types(in, Forward{in, hidden, stream});
}

int launch_filter_bank_backward(const FilterBankLayer& in, const void* gradient, void* hidden,
                                void* grad_preactivations, void* grad_phases, void* stream) {
  return with_types(in, Backward{in, gradient, hidden, grad_preactivations, grad_phases, stream});
}

}  // namespace nsr
