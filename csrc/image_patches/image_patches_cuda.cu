// Samples and correlations of patches on CUDA: one thread for a sample, one for a pair.
#include "../common/cuda_launch.h"
#include "image_patches.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kSampleThreads = 256;
constexpr int kPairThreads = 32;  // pairs are few: they spread over all processors

template <class S>
__global__ void __launch_bounds__(kSampleThreads)
    sample(const __grid_constant__ Pictures pictures, const __grid_constant__ PictureSamples in) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < in.count * in.size) sample_picture<S>(pictures, in, i);
}

template <class S>
__global__ void __launch_bounds__(kPairThreads)
    correlate_pairs(const __grid_constant__ Pictures pictures, const __grid_constant__ PatchPairs in) {
  const int64_t pair = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pair < in.count) correlate_pair<S>(pictures, in, pair);
}

dim3 blocks_for(int64_t threads, int block) { return dim3(unsigned((threads + block - 1) / block)); }

}  // namespace
NSR_NAMESPACE_END

namespace nsr {

int launch_picture_samples(const Pictures& pictures, const PictureSamples& in, void* stream) {
  const int64_t threads = in.count * in.size;
  if (threads == 0) return 0;
  const dim3 grid = blocks_for(threads, kSampleThreads), block(kSampleThreads);
  if (in.is_double) {
    NSR_LAUNCH(sample<double>, grid, block, stream, pictures, in);
  } else {
    NSR_LAUNCH(sample<float>, grid, block, stream, pictures, in);
  }
  return int(cudaGetLastError());
}

int launch_patch_correlation(const Pictures& pictures, const PatchPairs& in, void* stream) {
  if (in.count == 0) return 0;
  const dim3 grid = blocks_for(in.count, kPairThreads), block(kPairThreads);
  if (in.is_double) {
    NSR_LAUNCH(correlate_pairs<double>, grid, block, stream, pictures, in);
  } else {
    NSR_LAUNCH(correlate_pairs<float>, grid, block, stream, pictures, in);
  }
  return int(cudaGetLastError());
}

}  // namespace nsr
