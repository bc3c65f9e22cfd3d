// What the torch glue and the compiled bodies of the filter bank agree on: plain data, raw pointers, no torch.
#pragma once

#include <cstdint>

namespace nsr {

// One layer at all points.  Numbers are all float or all double; "streams" is 1 for values alone, 4 with tangents.
struct FilterBankLayer {
  int64_t count;               // points
  int32_t streams, width;      // of the layer
  bool is_double;
  double frequency;
  const void* preactivations;  // [streams, count, width]
  const void* bias;            // [width]
  // The band that is added; features = 0 where there is none.
  int32_t features, channels, first_channel;
  const void* grid;            // [count, channels]: the level's features are first_channel and those that follow
  const void* grid_jacobian;   // [count, channels, 3]; null for values alone
  const void* bands;           // [features, width]
  const void* phase;           // [width]
};

// The bodies for the CPU.  Ranges of points are independent of each other.
struct FilterBankCpu {
  // hidden: [streams, count, width].
  void (*forward)(const FilterBankLayer&, int64_t begin, int64_t end, void* hidden);
  // From the gradient in the hidden state [streams, count, width], those in the preactivation and in the band's
  // phases z (null where there is no band), and the hidden state itself; all of the same shape.
  void (*backward)(const FilterBankLayer&, int64_t begin, int64_t end, const void* gradient, void* hidden,
                   void* grad_preactivations, void* grad_phases);
};

// The bodies for CUDA; each returns a cudaError_t.
int launch_filter_bank_forward(const FilterBankLayer&, void* hidden, void* stream);
int launch_filter_bank_backward(const FilterBankLayer&, const void* gradient, void* hidden, void* grad_preactivations,
                                void* grad_phases, void* stream);

}  // namespace nsr
