// The maths of one sample of a picture, and of one patch compared with what a source view shows in its place.
#pragma once

#include "../common/portable.h"
#include "image_patches_launch.h"

#include <cmath>

NSR_NAMESPACE_BEGIN

// Four neighbouring pixels of a picture, and where among them a sample lies.
template <class S>
struct Neighbours {
  int64_t first, width;  // of the upper left one, in a plane of the buffer; pixels of a row
  S x, y;

  // Finds them about (u, v), pixels of the level; false where one of them is beyond the frame or off the object.
  NSR_INLINE bool find(const Pictures& pictures, int64_t view, int64_t level, S u, S v) {
    if (view < 0 || view >= pictures.views || level < 0 || level >= pictures.levels) return false;
    const int64_t* frame = pictures.frames + 3 * (view * pictures.levels + level);
    const int64_t start = frame[0], height = frame[1];
    width = frame[2];
    if (start < 0 || width < 2 || height < 2 || width > pictures.pixels || height > pictures.pixels / width ||
        start > pictures.pixels - height * width)
      return false;
    // Written so that NaN is beyond it, too.
    if (!(u >= S(0) && v >= S(0) && u < S(width - 1) && v < S(height - 1))) return false;
    const int64_t column = int64_t(u), row = int64_t(v);
    first = start + row * width + column;
    x = u - S(column);
    y = v - S(row);
    const uint8_t* p = pictures.values + first;
    return p[0] != 0 && p[1] != 0 && p[width] != 0 && p[width + 1] != 0;
  }

  // Bilinear value of a channel; slopes along u and v.
  NSR_INLINE S value(const Pictures& pictures, int channel, S& along_u, S& along_v) const {
    const uint8_t* p = pictures.values + channel * pictures.pixels + first;
    const S a = S(p[0]), c = S(p[width]);
    const S top = S(p[1]) - a, bottom = S(p[width + 1]) - c;
    const S upper = a + x * top;
    along_v = c + x * bottom - upper;
    along_u = top + y * (bottom - top);
    return upper + y * along_v;
  }
};

NSR_INLINE float power_of_two(int32_t exponent, float) { return ldexpf(1.0f, exponent); }
NSR_INLINE double power_of_two(int32_t exponent, double) { return ldexp(1.0, exponent); }

// A pixel of level 0 on a coarser level, `scale` = 2^-level; pixels' centres are whole numbers on each.
template <class S>
NSR_INLINE S on_level(S pixel, S scale) {
  return (pixel + S(0.5)) * scale - S(0.5);
}

template <class S>
NSR_INLINE void sample_picture(const Pictures& pictures, const PictureSamples& in, int64_t index) {
  const int64_t patch = index / in.size, level = in.levels[patch];
  const S* at = static_cast<const S*>(in.at) + 2 * index;
  const S scale = power_of_two(-int32_t(level < 0 || level >= pictures.levels ? 0 : level), S());
  Neighbours<S> pixels;
  const bool inside =
      pixels.find(pictures, in.views[patch], level, on_level(at[0], scale), on_level(at[1], scale));
  in.inside[index] = inside;
  for (int c = 0; c < pictures.channels; ++c) {
    const int64_t place = index * pictures.channels + c;
    S along_u = S(0), along_v = S(0), value = S(0);
    if (inside) value = pixels.value(pictures, c, along_u, along_v);
    static_cast<S*>(in.values)[place] = value;
    if (in.slopes == nullptr) continue;
    static_cast<S*>(in.slopes)[2 * place] = along_u * scale;
    static_cast<S*>(in.slopes)[2 * place + 1] = along_v * scale;
  }
}

// A patch of one view, carried into a source view by a homography of their pixels.
template <class S>
struct WarpedPatch {
  const S *homography, *centre;
  S centred[3];  // the homography of the patch's centre
  S middle, spacing;
  int side;

  NSR_INLINE WarpedPatch(const PatchPairs& in, int64_t pair, int64_t patch)
      : homography(static_cast<const S*>(in.homographies) + 9 * pair),
        centre(static_cast<const S*>(in.centres) + 2 * patch),
        middle(S(in.side - 1) / 2),
        spacing(S(in.spacing)),
        side(in.side) {
    for (int r = 0; r < 3; ++r) {
      const S* row = homography + 3 * r;
      centred[r] = row[2] + (row[0] * centre[0] + row[1] * centre[1]);
    }
  }

  NSR_INLINE S offset(int step) const { return (S(step) - middle) * spacing; }

  // Where a sample lands in the source, and its third coordinate; false where that is not in front.
  NSR_INLINE bool land(int row, int column, S& u, S& v, S& third) const {
    const S du = offset(column), dv = offset(row);
    S landed[3];
    for (int r = 0; r < 3; ++r) landed[r] = centred[r] + (homography[3 * r] * du + homography[3 * r + 1] * dv);
    third = landed[2];
    if (!(third > S(1e-6))) return false;
    u = landed[0] / third;
    v = landed[1] / third;
    return true;
  }

  // The level at which the source is as coarse as the patch: by the area between the middles of the patch's sides.
  NSR_INLINE bool level_in_source(int level, int levels, int& chosen) const {
    const int half = side / 2, last = side - 1;
    S top[2], bottom[2], left[2], right[2], third;
    if (!land(0, half, top[0], top[1], third) || !land(last, half, bottom[0], bottom[1], third) ||
        !land(half, 0, left[0], left[1], third) || !land(half, last, right[0], right[1], third))
      return false;
    const S area = (bottom[0] - top[0]) * (right[1] - left[1]) - (bottom[1] - top[1]) * (right[0] - left[0]);
    const S length = S(last) * spacing;
    S ratio = (area < 0 ? -area : area) / (length * length);
    if (!(ratio > S(1e-6))) ratio = S(1e-6);
    if (ratio > S(1e6)) ratio = S(1e6);
    const int64_t wanted = level + int64_t(std::rint(S(0.5) * std::log2(ratio)));
    chosen = int(wanted < 0 ? 0 : wanted >= levels ? levels - 1 : wanted);
    return true;
  }
};

// Sums over a patch's samples and channels, of what differs from the means.
template <class S>
struct PatchSums {
  S covariance = 0, of_reference = 0, of_source = 0;
  // Slopes in the homography of the covariance, and of half the source's square.
  S covariance_slopes[9] = {}, source_slopes[9] = {};
};

// Correlation of a pair as in nsr/ops/image_patches.py; false, and nothing, where the patch is not whole.
template <class S>
NSR_INLINE bool correlate(const Pictures& pictures, const PatchPairs& in, int64_t pair, S& correlation, S slopes[9]) {
  const int64_t patch = in.patch[pair];
  if (patch < 0 || patch >= in.patches) return false;
  const int64_t source = in.sources[pair];
  const WarpedPatch<S> warped(in, pair, patch);
  const int samples = in.side * in.side, channels = pictures.channels;
  const S* reference = static_cast<const S*>(in.reference) + patch * samples * channels;
  int level;
  if (!warped.level_in_source(in.level, pictures.levels, level)) return false;
  const S scale = power_of_two(-level, S());

  S means[kMostChannels] = {}, reference_means[kMostChannels] = {};
  for (int i = 0; i < samples; ++i) {
    S u, v, third, along_u, along_v;
    Neighbours<S> pixels;
    if (!warped.land(i / in.side, i % in.side, u, v, third)) return false;
    if (!pixels.find(pictures, source, level, on_level(u, scale), on_level(v, scale))) return false;
    for (int c = 0; c < channels; ++c) {
      means[c] += pixels.value(pictures, c, along_u, along_v);
      reference_means[c] += reference[i * channels + c];
    }
  }
  for (int c = 0; c < channels; ++c) {
    means[c] /= S(samples);
    reference_means[c] /= S(samples);
  }

  PatchSums<S> sums;
  for (int i = 0; i < samples; ++i) {
    const int row = i / in.side, column = i % in.side;
    S u, v, third;
    Neighbours<S> pixels;
    warped.land(row, column, u, v, third);
    pixels.find(pictures, source, level, on_level(u, scale), on_level(v, scale));
    S covariance_u = 0, covariance_v = 0, source_u = 0, source_v = 0;
    for (int c = 0; c < channels; ++c) {
      S along_u, along_v;
      const S value = pixels.value(pictures, c, along_u, along_v) - means[c];
      const S wanted = reference[i * channels + c] - reference_means[c];
      sums.covariance += wanted * value;
      sums.of_reference += wanted * wanted;
      sums.of_source += value * value;
      covariance_u += wanted * along_u, covariance_v += wanted * along_v;
      source_u += value * along_u, source_v += value * along_v;
    }
    if (slopes == nullptr) continue;
    const S pixel[3] = {warped.centre[0] + warped.offset(column), warped.centre[1] + warped.offset(row), S(1)};
    const S of_pixel = scale / third;  // pixels of the level by homogeneous coordinates
    const S of_covariance[3] = {covariance_u, covariance_v, -(covariance_u * u + covariance_v * v)};
    const S of_source[3] = {source_u, source_v, -(source_u * u + source_v * v)};
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 3; ++c) {
        sums.covariance_slopes[3 * r + c] += of_covariance[r] * of_pixel * pixel[c];
        sums.source_slopes[3 * r + c] += of_source[r] * of_pixel * pixel[c];
      }
  }
  const S numbers = S(samples * channels), least = S(in.least_variance);
  const S mean_square = sums.of_source / numbers, of_reference = sums.of_reference / numbers;
  const bool even = mean_square < least;  // the variance then does not depend on the homography
  const S variance = even ? least : mean_square;
  const S factor = S(1) / std::sqrt((of_reference < least ? least : of_reference) * variance);
  correlation = sums.covariance / numbers * factor;
  if (slopes == nullptr) return true;
  for (int i = 0; i < 9; ++i) {
    slopes[i] = sums.covariance_slopes[i] * factor;
    if (!even) slopes[i] -= correlation / variance * sums.source_slopes[i];
    slopes[i] /= numbers;
  }
  return true;
}

template <class S>
NSR_INLINE void correlate_pair(const Pictures& pictures, const PatchPairs& in, int64_t pair) {
  S correlation = S(0), slopes[9] = {};
  const bool whole = correlate<S>(pictures, in, pair, correlation, in.slopes == nullptr ? nullptr : slopes);
  in.whole[pair] = whole;
  static_cast<S*>(in.correlation)[pair] = whole ? correlation : S(0);
  if (in.slopes == nullptr) return;
  for (int i = 0; i < 9; ++i) static_cast<S*>(in.slopes)[9 * pair + i] = slopes[i];
}

NSR_NAMESPACE_END
