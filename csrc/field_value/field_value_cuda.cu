// Values of a grid network on CUDA: one thread for a point.
#include "grid_network_cuda.h"

NSR_NAMESPACE_BEGIN
namespace {

template <int C, int W>
__global__ void __launch_bounds__(kBlock, kBlocksAtOnce)
    field_value(const __grid_constant__ GridNetwork network, const float* positions, int64_t count, float* values) {
  NSR_SHARED_MEMORY(shared);
  PointEvaluator<C, W> evaluator(network, shared);
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    const float point[3] = {positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]};
    values[i] = evaluator.value(point);
  }
}

struct StartFieldValue {
  const GridNetwork& network;
  const float* positions;
  int64_t count;
  float* values;
  void* stream;
  template <int C, int W>
  void run() const {
    // Each block loads the network: many points for each, and still blocks for every multiprocessor.
    constexpr int64_t kMostBlocks = 4096;
    const int64_t blocks = (count + kBlock - 1) / kBlock;
    NSR_LAUNCH_SHARED((field_value<C, W>), dim3(unsigned(blocks < kMostBlocks ? blocks : kMostBlocks)),
                      dim3(kBlock), shared_floats(network) * sizeof(float), stream, network, positions, count, values);
  }
};

}  // namespace
NSR_NAMESPACE_END

namespace nsr {

int launch_field_value(const GridNetwork& network, const float* positions, int64_t count, float* values,
                       void* stream) {
  if (count == 0) return 0;
  return with_network(network, StartFieldValue{network, positions, count, values, stream});
}

}  // namespace nsr
