// Small helpers for the torch side of an operator.  The stable ABI only, so that one library serves torch >= 2.10.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "cpu_features.h"

// Lives in libtorch_cuda only: null under a torch without CUDA, where it is never called.
extern "C" __attribute__((weak)) AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device, void** stream);

namespace nsr {

using torch::stable::Tensor;
using torch::headeronly::ScalarType;

inline void* current_cuda_stream(const Tensor& on) {
  void* stream = nullptr;
  STD_TORCH_CHECK(aoti_torch_get_current_cuda_stream != nullptr, "this torch has no CUDA");
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(on.get_device_index(), &stream));
  return stream;
}

inline void check_cuda(int error, const char* what) {
  STD_TORCH_CHECK(error == 0, what, " failed to launch: CUDA error ", error);
}

}  // namespace nsr
