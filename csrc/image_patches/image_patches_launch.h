// What the torch glue and the compiled bodies of the patch operators agree on: plain data, raw pointers, no torch.
#pragma once

#include <cstdint>

namespace nsr {

constexpr int kMostChannels = 3;

// Pictures of several views and resolutions in one buffer; a byte of 0 lies off the object.
struct Pictures {
  const uint8_t* values;  // [channels, pixels]
  const int64_t* frames;  // [views, levels, 3]: where a picture begins, its height and its width
  int64_t pixels, views;
  int32_t channels, levels;
};

// Samples of pictures at given pixels.  Numbers are all float or all double.
struct PictureSamples {
  int64_t count;          // patches
  int32_t size;           // samples of a patch
  bool is_double;
  const int64_t* views;   // [count]
  const int64_t* levels;  // [count]
  const void* at;         // [count, size, 2] (u, v), in pixels of level 0
  void* values;           // [count, size, channels]
  bool* inside;           // [count, size]
  void* slopes;           // [count, size, channels, 2] along u and v; null where nobody asks
};

// Pairs of a patch and a view that it is carried into.
struct PatchPairs {
  int64_t count, patches;
  int32_t side, level;        // samples along a patch's side; the level that patches were taken from
  bool is_double;
  double spacing, least_variance;
  const void* homographies;   // [count, 3, 3], from pixels of the patch's view to pixels of the source
  const void* centres;        // [patches, 2] (u, v)
  const void* reference;      // [patches, side * side, channels]
  const int64_t* patch;       // [count]
  const int64_t* sources;     // [count], views
  void* correlation;          // [count]
  bool* whole;                // [count]
  void* slopes;               // [count, 3, 3], of the correlation in the homography; null where nobody asks
};

// The bodies for the CPU.  Ranges of patches, or of pairs, are independent of each other.
struct ImagePatchesCpu {
  void (*sample)(const Pictures&, const PictureSamples&, int64_t begin, int64_t end);
  void (*correlate)(const Pictures&, const PatchPairs&, int64_t begin, int64_t end);
};

// The bodies for CUDA; each returns a cudaError_t.
int launch_picture_samples(const Pictures&, const PictureSamples&, void* stream);
int launch_patch_correlation(const Pictures&, const PatchPairs&, void* stream);

}  // namespace nsr
