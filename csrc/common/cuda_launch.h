// Kernels that g++ can run as well: it has each block and each thread of a launch take its turn.  Address and
// undefined-behaviour sanitizers then see a kernel's every access.  For kernels without shared memory, barriers and
// warp functions only; races do not show.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#define NSR_LAUNCH(kernel, grid, block, stream, ...) \
  kernel<<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)

#else

#include <cmath>

#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(threads)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static dim3 gridDim, blockDim, blockIdx, threadIdx;

template <class T>
T atomicAdd(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}

inline long long __double2ll_rn(double value) { return std::llrint(value); }
inline int cudaGetLastError() { return 0; }

#define NSR_LAUNCH(kernel, grid, block, stream, ...)                                                    \
  do {                                                                                                  \
    (void)(stream);                                                                                     \
    gridDim = (grid), blockDim = (block);                                                               \
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)                                          \
      for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)                                        \
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)                                      \
          for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel(__VA_ARGS__);           \
  } while (false)

#endif
