// Samples and correlations of patches on the CPU, one after the other.  Compiled once per instruction set.
#include "image_patches.h"

NSR_NAMESPACE_BEGIN
namespace {

template <class S>
void sample(const Pictures& pictures, const PictureSamples& in, int64_t begin, int64_t end) {
  for (int64_t i = begin * in.size; i < end * in.size; ++i) sample_picture<S>(pictures, in, i);
}

template <class S>
void correlate_pairs(const Pictures& pictures, const PatchPairs& in, int64_t begin, int64_t end) {
  for (int64_t pair = begin; pair < end; ++pair) correlate_pair<S>(pictures, in, pair);
}

void run_sample(const Pictures& pictures, const PictureSamples& in, int64_t begin, int64_t end) {
  (in.is_double ? sample<double> : sample<float>)(pictures, in, begin, end);
}

void run_correlate(const Pictures& pictures, const PatchPairs& in, int64_t begin, int64_t end) {
  (in.is_double ? correlate_pairs<double> : correlate_pairs<float>)(pictures, in, begin, end);
}

}  // namespace

extern const ImagePatchesCpu image_patches_cpu;
const ImagePatchesCpu image_patches_cpu{run_sample, run_correlate};

NSR_NAMESPACE_END
