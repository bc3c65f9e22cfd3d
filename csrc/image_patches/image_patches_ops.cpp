// Samples and correlations of patches as torch operators; what is checked here is what memory safety needs.
#include "../common/torch_glue.h"
#include "image_patches_launch.h"

#include <climits>
#include <tuple>

namespace nsr {

NSR_DECLARE_PER_ISA(ImagePatchesCpu, image_patches_cpu)

namespace {

constexpr int64_t kPatchesPerTask = 8;

void check(const Tensor& tensor, ScalarType type, const Tensor& beside, const char* name) {
  STD_TORCH_CHECK(tensor.is_contiguous() && tensor.scalar_type() == type && tensor.is_cuda() == beside.is_cuda(),
                  "image_patches: ", name, " must be contiguous, of the type wanted and on the pictures' device");
}

bool is_double(const Tensor& numbers) {
  const ScalarType type = numbers.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double, "image_patches: float32 or float64 wanted");
  return type == ScalarType::Double;
}

// values: [C, K] uint8; frames: [V, L, 3] int64.  What frames say is checked where it is used.
Pictures make_pictures(const Tensor& values, const Tensor& frames) {
  check(values, ScalarType::Byte, values, "values");
  check(frames, ScalarType::Long, values, "frames");
  STD_TORCH_CHECK(values.dim() == 2 && values.size(0) >= 1 && values.size(0) <= kMostChannels,
                  "image_patches: values must be [1 to 3, pixels]");
  STD_TORCH_CHECK(frames.dim() == 3 && frames.size(2) == 3 && frames.size(1) >= 1 && frames.size(1) < 64,
                  "image_patches: frames must be [views, levels, 3]");
  return {static_cast<const uint8_t*>(values.const_data_ptr()), static_cast<const int64_t*>(frames.const_data_ptr()),
          values.size(1), frames.size(0), int32_t(values.size(0)), int32_t(frames.size(1))};
}

const int64_t* indices(const Tensor& tensor, int64_t count, const Tensor& beside, const char* name) {
  check(tensor, ScalarType::Long, beside, name);
  STD_TORCH_CHECK(tensor.numel() == count, "image_patches: ", name, " must be one for each of ", count);
  return static_cast<const int64_t*>(tensor.const_data_ptr());
}

struct Sampling {
  Tensor values, inside, slopes;
  Pictures pictures;
  PictureSamples samples{};

  Sampling(const Tensor& buffer, const Tensor& frames, const Tensor& views, const Tensor& levels, const Tensor& at,
           bool with_slopes)
      : pictures(make_pictures(buffer, frames)) {
    samples.is_double = is_double(at);
    check(at, at.scalar_type(), buffer, "pixels");
    STD_TORCH_CHECK(at.dim() == 3 && at.size(2) == 2 && at.size(1) >= 1 && at.size(1) < INT32_MAX,
                    "image_patches: pixels must be [patches, 1 or more, 2]");
    const int64_t count = at.size(0), size = at.size(1), channels = pictures.channels;
    values = torch::stable::new_empty(at, {count, size, channels});
    inside = torch::stable::new_empty(at, {count, size}, ScalarType::Bool);
    slopes = torch::stable::new_empty(at, {with_slopes ? count : 0, size, channels, 2});
    samples.count = count;
    samples.size = int32_t(size);
    samples.views = indices(views, count, buffer, "views");
    samples.levels = indices(levels, count, buffer, "levels");
    samples.at = at.const_data_ptr();
    samples.values = values.mutable_data_ptr();
    samples.inside = static_cast<bool*>(inside.mutable_data_ptr());
    samples.slopes = with_slopes ? slopes.mutable_data_ptr() : nullptr;
  }

  std::tuple<Tensor, Tensor, Tensor> results() const { return {values, inside, slopes}; }
};

struct Correlation {
  Tensor correlation, whole, slopes;
  Pictures pictures;
  PatchPairs pairs{};

  Correlation(const Tensor& buffer, const Tensor& frames, const Tensor& homographies, const Tensor& centres,
              const Tensor& reference, const Tensor& patch, const Tensor& sources, int64_t side, double spacing,
              int64_t level, double least_variance, bool with_slopes)
      : pictures(make_pictures(buffer, frames)) {
    pairs.is_double = is_double(homographies);
    const ScalarType type = homographies.scalar_type();
    check(homographies, type, buffer, "homographies");
    check(centres, type, buffer, "centres");
    check(reference, type, buffer, "reference");
    const int64_t count = homographies.size(0), patches = reference.size(0);
    STD_TORCH_CHECK(homographies.numel() == 9 * count, "image_patches: homographies must be [pairs, 3, 3]");
    STD_TORCH_CHECK(side >= 1 && side <= 1024 && level >= 0 && level < 64, "image_patches: side or level out of range");
    STD_TORCH_CHECK(centres.numel() == 2 * patches && reference.numel() == patches * side * side * pictures.channels,
                    "image_patches: centres must be [patches, 2] and reference [patches, side * side, channels]");
    correlation = torch::stable::new_empty(homographies, {count});
    whole = torch::stable::new_empty(homographies, {count}, ScalarType::Bool);
    slopes = torch::stable::new_empty(homographies, {with_slopes ? count : 0, 3, 3});
    pairs.count = count;
    pairs.patches = patches;
    pairs.side = int32_t(side);
    pairs.level = int32_t(level);
    pairs.spacing = spacing;
    pairs.least_variance = least_variance;
    pairs.homographies = homographies.const_data_ptr();
    pairs.centres = centres.const_data_ptr();
    pairs.reference = reference.const_data_ptr();
    pairs.patch = indices(patch, count, buffer, "patch");
    pairs.sources = indices(sources, count, buffer, "sources");
    pairs.correlation = correlation.mutable_data_ptr();
    pairs.whole = static_cast<bool*>(whole.mutable_data_ptr());
    pairs.slopes = with_slopes ? slopes.mutable_data_ptr() : nullptr;
  }

  std::tuple<Tensor, Tensor, Tensor> results() const { return {correlation, whole, slopes}; }
};

std::tuple<Tensor, Tensor, Tensor> sample_cpu(const Tensor& values, const Tensor& frames, const Tensor& views,
                                              const Tensor& levels, const Tensor& pixels, bool with_slopes) {
  const Sampling work(values, frames, views, levels, pixels, with_slopes);
  torch::stable::parallel_for(0, work.samples.count, kPatchesPerTask, [&](int64_t begin, int64_t end) {
    best_image_patches_cpu().sample(work.pictures, work.samples, begin, end);
  });
  return work.results();
}

std::tuple<Tensor, Tensor, Tensor> correlate_cpu(const Tensor& values, const Tensor& frames,
                                                 const Tensor& homographies, const Tensor& centres,
                                                 const Tensor& reference, const Tensor& patch, const Tensor& sources,
                                                 int64_t side, double spacing, int64_t level, double least_variance,
                                                 bool with_slopes) {
  const Correlation work(values, frames, homographies, centres, reference, patch, sources, side, spacing, level,
                         least_variance, with_slopes);
  torch::stable::parallel_for(0, work.pairs.count, kPatchesPerTask, [&](int64_t begin, int64_t end) {
    best_image_patches_cpu().correlate(work.pictures, work.pairs, begin, end);
  });
  return work.results();
}

#if defined(NSR_WITH_CUDA)

std::tuple<Tensor, Tensor, Tensor> sample_cuda(const Tensor& values, const Tensor& frames, const Tensor& views,
                                               const Tensor& levels, const Tensor& pixels, bool with_slopes) {
  torch::stable::accelerator::DeviceGuard guard(pixels.get_device_index());
  const Sampling work(values, frames, views, levels, pixels, with_slopes);
  check_cuda(launch_picture_samples(work.pictures, work.samples, current_cuda_stream(pixels)), "picture_samples");
  return work.results();
}

std::tuple<Tensor, Tensor, Tensor> correlate_cuda(const Tensor& values, const Tensor& frames,
                                                  const Tensor& homographies, const Tensor& centres,
                                                  const Tensor& reference, const Tensor& patch, const Tensor& sources,
                                                  int64_t side, double spacing, int64_t level, double least_variance,
                                                  bool with_slopes) {
  torch::stable::accelerator::DeviceGuard guard(homographies.get_device_index());
  const Correlation work(values, frames, homographies, centres, reference, patch, sources, side, spacing, level,
                         least_variance, with_slopes);
  check_cuda(launch_patch_correlation(work.pictures, work.pairs, current_cuda_stream(homographies)),
             "patch_correlation");
  return work.results();
}

#endif

}  // namespace
}  // namespace nsr

STABLE_TORCH_LIBRARY_FRAGMENT(nsr, library) {
  library.def(
      "picture_samples(Tensor values, Tensor frames, Tensor views, Tensor levels, Tensor pixels, bool slopes)"
      " -> (Tensor, Tensor, Tensor)");
  library.def(
      "patch_correlation(Tensor values, Tensor frames, Tensor homographies, Tensor centres, Tensor reference,"
      " Tensor patch, Tensor sources, int side, float spacing, int level, float least_variance, bool slopes)"
      " -> (Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) {
  library.impl("picture_samples", TORCH_BOX(&nsr::sample_cpu));
  library.impl("patch_correlation", TORCH_BOX(&nsr::correlate_cpu));
}

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) {
  library.impl("picture_samples", TORCH_BOX(&nsr::sample_cuda));
  library.impl("patch_correlation", TORCH_BOX(&nsr::correlate_cuda));
}
#endif
