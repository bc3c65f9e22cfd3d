// The table's optimiser on CUDA: one thread for a number; what has no gradient is not even read.
#include "../common/cuda_launch.h"
#include "table_adam.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kThreads = 256;

template <class S>
__global__ void __launch_bounds__(kThreads) step(const __grid_constant__ TableAdamStep in) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= in.count) return;
  if (in.marks != nullptr && in.marks[i / in.block] == 0) return;
  const S gradient = static_cast<const S*>(in.gradient)[i];
  if (gradient == S(0)) return;
  adam_update(AdamConstants<S>(in), gradient, static_cast<S*>(in.table)[i], static_cast<S*>(in.first_moment)[i],
              static_cast<S*>(in.second_moment)[i]);
  if (in.marks != nullptr) static_cast<S*>(const_cast<void*>(in.gradient))[i] = S(0);
}

}  // namespace
NSR_NAMESPACE_END

namespace nsr {

int launch_table_adam(const TableAdamStep& in, void* stream) {
  if (in.count == 0) return 0;
  const dim3 grid(unsigned((in.count + kThreads - 1) / kThreads));
  if (in.is_double) {
    NSR_LAUNCH(step<double>, grid, dim3(kThreads), stream, in);
  } else {
    NSR_LAUNCH(step<float>, grid, dim3(kThreads), stream, in);
  }
  return int(cudaGetLastError());
}

}  // namespace nsr
