// Kernels that g++ can run as well: it has each block and each thread of a launch take its turn.  Address and
// undefined-behaviour sanitizers then see a kernel's every access; races do not show.  Kernels with shared memory and
// barriers (NSR_LAUNCH_SHARED) get a thread of the system for each of theirs.  Warp functions are not there.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#define NSR_LAUNCH(kernel, grid, block, stream, ...) \
  kernel<<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)

// The same with `bytes` of shared memory, which the kernel has as NSR_SHARED_MEMORY.
#define NSR_LAUNCH_SHARED(kernel, grid, block, bytes, stream, ...)                               \
  do {                                                                                           \
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));       \
    kernel<<<grid, block, bytes, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__);              \
  } while (false)

#define NSR_SHARED_MEMORY(name) extern __shared__ __align__(16) float name[]

#else

#include <barrier>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static dim3 gridDim, blockDim, blockIdx;
static thread_local dim3 threadIdx;

// Of the block that runs.
static float* shared_memory_of_block;
static std::barrier<>* barrier_of_block;

#define NSR_SHARED_MEMORY(name) float* const name = shared_memory_of_block

inline void __syncthreads() { barrier_of_block->arrive_and_wait(); }

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

#define NSR_LAUNCH_SHARED(kernel, grid, block, bytes, stream, ...)                                      \
  do {                                                                                                  \
    (void)(stream);                                                                                     \
    gridDim = (grid), blockDim = (block);                                                               \
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {                                        \
      const auto memory = std::make_unique<float[]>((bytes) / sizeof(float));                           \
      std::barrier<> barrier(blockDim.x);                                                               \
      shared_memory_of_block = memory.get(), barrier_of_block = &barrier;                               \
      std::vector<std::thread> threads;                                                                 \
      for (unsigned thread = 0; thread < blockDim.x; ++thread)                                          \
        threads.emplace_back([&, thread] { threadIdx.x = thread, kernel(__VA_ARGS__); });               \
      for (std::thread& thread : threads) thread.join();                                                \
    }                                                                                                   \
  } while (false)

#endif
