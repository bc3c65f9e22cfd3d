// Runs the CUDA kernels of patches on the CPU, one thread after the other: reads a problem, writes all results.
// Every array lies in a heap block of exactly its size, so that the address sanitizer sees a step beyond it.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../../csrc/image_patches/image_patches_cuda.cu"

namespace {

struct Header {
  int64_t channels, pixels, told, views, levels, is_double;  // told: how many pixels the kernels are told of
  int64_t samples, size;                   // patches to sample, samples of each
  int64_t count, patches, side, level;     // pairs to correlate
  double spacing, least_variance;
};

std::vector<char> read_block(FILE* file, int64_t bytes) {
  std::vector<char> block(static_cast<size_t>(bytes));
  if (!block.empty() && std::fread(block.data(), 1, block.size(), file) != block.size()) std::abort();
  return block;
}

bool* as_bools(std::vector<char>& block) { return reinterpret_cast<bool*>(block.data()); }
const int64_t* as_indices(const std::vector<char>& block) { return reinterpret_cast<const int64_t*>(block.data()); }

}  // namespace

int main(int, char** arguments) {
  FILE* file = std::fopen(arguments[1], "rb");
  Header h;
  if (file == nullptr || std::fread(&h, sizeof h, 1, file) != 1) return 2;
  const int64_t size = h.is_double ? 8 : 4;
  const auto values = read_block(file, h.channels * h.pixels);
  const auto frames = read_block(file, h.views * h.levels * 3 * 8);
  const auto views = read_block(file, h.samples * 8), levels = read_block(file, h.samples * 8);
  const auto at = read_block(file, h.samples * h.size * 2 * size);
  const auto homographies = read_block(file, h.count * 9 * size), centres = read_block(file, h.patches * 2 * size);
  const auto reference = read_block(file, h.patches * h.side * h.side * h.channels * size);
  const auto patch = read_block(file, h.count * 8), sources = read_block(file, h.count * 8);
  std::fclose(file);

  const nsr::Pictures pictures{reinterpret_cast<const uint8_t*>(values.data()), as_indices(frames), h.told, h.views,
                               int32_t(h.channels), int32_t(h.levels)};
  const auto room = [&](int64_t numbers) { return std::vector<char>(static_cast<size_t>(numbers * size)); };
  auto taken = room(h.samples * h.size * h.channels), taken_slopes = room(h.samples * h.size * h.channels * 2);
  std::vector<char> inside(static_cast<size_t>(h.samples * h.size)), whole(static_cast<size_t>(h.count));
  auto correlation = room(h.count), slopes = room(h.count * 9);

  nsr::PictureSamples samples{};
  samples.count = h.samples;
  samples.size = int32_t(h.size);
  samples.is_double = h.is_double != 0;
  samples.views = as_indices(views);
  samples.levels = as_indices(levels);
  samples.at = at.data();
  samples.values = taken.data();
  samples.inside = as_bools(inside);
  samples.slopes = taken_slopes.data();
  nsr::launch_picture_samples(pictures, samples, nullptr);

  nsr::PatchPairs pairs{};
  pairs.count = h.count;
  pairs.patches = h.patches;
  pairs.side = int32_t(h.side);
  pairs.level = int32_t(h.level);
  pairs.is_double = h.is_double != 0;
  pairs.spacing = h.spacing;
  pairs.least_variance = h.least_variance;
  pairs.homographies = homographies.data();
  pairs.centres = centres.data();
  pairs.reference = reference.data();
  pairs.patch = as_indices(patch);
  pairs.sources = as_indices(sources);
  pairs.correlation = correlation.data();
  pairs.whole = as_bools(whole);
  pairs.slopes = slopes.data();
  nsr::launch_patch_correlation(pictures, pairs, nullptr);

  file = std::fopen(arguments[2], "wb");
  if (file == nullptr) return 2;
  for (const auto* block : {&taken, &taken_slopes, &correlation, &slopes, &inside, &whole})
    if (!block->empty() && std::fwrite(block->data(), 1, block->size(), file) != block->size()) return 2;
  return std::fclose(file);
}
