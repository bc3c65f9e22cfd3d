// The search for the surface along one ray, one evaluation of the field at a time: that of
// nsr/rendering/ray_tracing.py, whose stages are explained there.
//
// A search asks for the value at a depth (wants) and goes on with it (accept), until it is done.  Whoever evaluates
// the field is free to do so for any rays together.
#pragma once

#include "ray_bounds.h"

NSR_NAMESPACE_BEGIN

enum Stage : int32_t { kMarch, kRoot, kSample, kClosest, kDone };

// One end of the march.  Both ends hold depths from the origin: the back end goes towards smaller ones.
struct MarchEnd {
  float depth, value, step;
  bool running;
};

class RaySearch {
 public:
  // fractions: [closest_samples] of this ray, or null: no closest samples are wanted of a ray that misses.
  NSR_INLINE void begin(const TraceSettings& settings, const RayBounds& bounds, bool wanted, const float* fractions) {
    bounds_ = bounds;
    fractions_ = fractions;
    hit_ = false;
    index_ = halving_ = 0;
    at_back_ = false;
    if (!wanted) return miss((bounds.near + bounds.far) / 2.0f, settings);
    stage_ = kMarch;
    front_ = {bounds.near, 0.0f, 0.0f, true};
    back_ = {bounds.far, 0.0f, 0.0f, settings.two_sided};
  }

  NSR_INLINE Stage stage() const { return stage_; }
  NSR_INLINE float depth() const { return depth_; }
  NSR_INLINE bool hit() const { return hit_; }

  // Where the value is wanted; with `ahead`, where it will be if the values before it leave the stage what it is
  // (samples only).
  NSR_INLINE float wants(const TraceSettings& settings, int ahead = 0) const {
    if (stage_ == kMarch) return at_back_ ? back_.depth : front_.depth;
    if (stage_ == kRoot) return secant();
    const int sample = index_ + ahead;
    if (stage_ == kSample) return sample_depth(settings, sample);
    const float fraction = (float(sample) + fractions_[sample]) / float(settings.closest_samples);
    return bounds_.near + (bounds_.far - bounds_.near) * fraction;
  }

  // How many evaluations the stage is sure to want, or may want, one after the other at depths that are known now.
  NSR_INLINE int known_ahead(const TraceSettings& settings) const {
    if (stage_ == kSample) return settings.samples - index_;
    return stage_ == kClosest ? settings.closest_samples - index_ : 1;
  }

  // The value at the depth that was wanted.
  NSR_INLINE void accept(const TraceSettings& settings, float depth, float value) {
    if (stage_ == kMarch) return accept_march(settings, value);
    if (stage_ == kRoot) return accept_root(settings, depth, value);
    if (stage_ == kSample && value < 0.0f) {
      if (index_ == 0) return found(depth);  // inside from the first sample on
      return bracket(settings, sample_depth(settings, index_ - 1), depth, low_value_, value);
    }
    // As torch's argmin: the first of the smallest, and NaN is smaller than anything.
    if (index_ == 0 || value < best_value_ || (value != value && best_value_ == best_value_)) {
      depth_ = depth;
      best_value_ = value;
    }
    low_value_ = value;
    ++index_;
    if (stage_ == kSample && index_ == settings.samples) return miss(depth_, settings);
    if (stage_ == kClosest && index_ == settings.closest_samples) stage_ = kDone;
  }

 private:
  // That of torch.linspace.
  NSR_INLINE float sample_depth(const TraceSettings& settings, int sample) const {
    const int count = settings.samples;
    const float step = 1.0f / float(count - 1);
    const float fraction = sample < count / 2 ? step * float(sample) : 1.0f - step * float(count - 1 - sample);
    return low_ + (high_ - low_) * fraction;
  }

  NSR_INLINE void found(float depth) {
    depth_ = depth;
    hit_ = true;
    stage_ = kDone;
  }

  NSR_INLINE void miss(float depth, const TraceSettings& settings) {
    depth_ = depth;
    index_ = 0;
    stage_ = fractions_ != nullptr && bounds_.meets && settings.closest_samples > 0 ? kClosest : kDone;
  }

  NSR_INLINE void accept_march(const TraceSettings& settings, float value) {
    const bool crossed = index_ > 0 && value < 0.0f && halving_ < settings.line_steps;
    float back_by = settings.line_search;
    for (int i = 0; i < halving_; ++i) back_by *= 0.5f;
    if (at_back_) {
      back_.value = value;
      if (crossed) back_.depth += back_by * back_.step;
    } else {
      front_.value = value;
      if (crossed) front_.depth -= back_by * front_.step;
    }
    if (crossed) {
      ++halving_;
      return;
    }
    halving_ = 0;
    if (!at_back_ && back_.running) {
      at_back_ = true;
      if (index_ > 0) back_.depth -= back_.step;
      return;
    }
    end_iteration(settings);
  }

  NSR_INLINE void end_iteration(const TraceSettings& settings) {
    if (index_ == 0 || (front_.running && front_.value > 0.0f)) {
      low_ = front_.depth;
      low_value_ = front_.value;
    }
    front_.step = front_.value;
    back_.step = back_.value;
    const float end = settings.two_sided ? back_.depth : bounds_.far;
    const bool apart = front_.depth < end;
    front_.running = front_.running && front_.value > settings.threshold && apart;
    back_.running = back_.running && back_.value > settings.threshold && apart;
    if (index_ < settings.iterations && (front_.running || back_.running)) {
      ++index_;
      at_back_ = !front_.running;
      if (at_back_) {
        back_.depth -= back_.step;
      } else {
        front_.depth += front_.step;
      }
      return;
    }
    end_march(settings, end);
  }

  NSR_INLINE void end_march(const TraceSettings& settings, float end) {
    const float depth = front_.depth, value = front_.value;
    if (value <= settings.threshold && depth <= bounds_.far && (!settings.two_sided || depth < end)) {
      if (value < -settings.threshold && low_value_ > 0.0f && low_ < depth)
        return bracket(settings, low_, depth, low_value_, value);
      return found(depth);
    }
    if (!front_.running) return miss((bounds_.near + bounds_.far) / 2.0f, settings);
    low_ = depth;
    high_ = end > depth ? end : depth;
    index_ = 0;
    stage_ = kSample;
  }

  NSR_INLINE void bracket(const TraceSettings& settings, float low, float high, float low_value, float high_value) {
    low_ = low, high_ = high, low_value_ = low_value, high_value_ = high_value;
    moved_low_ = moved_high_ = false;
    index_ = 0;
    stage_ = kRoot;
    if (settings.root_steps == 0) found(secant());
  }

  NSR_INLINE float secant() const {
    const float share = low_value_ / at_least(low_value_ - high_value_, 1e-12f);
    const float clamped = at_least(share, 0.0f);
    return low_ + (high_ - low_) * (clamped > 1.0f ? 1.0f : clamped);
  }

  // An end that stays put twice running has its value halved, which pulls the next estimate towards it (Illinois).
  NSR_INLINE void accept_root(const TraceSettings& settings, float depth, float value) {
    if (value >= 0.0f) {
      if (moved_low_) high_value_ = high_value_ / 2.0f;
      low_ = depth;
      low_value_ = value;
      moved_low_ = true, moved_high_ = false;
    } else {
      if (moved_high_) low_value_ = low_value_ / 2.0f;
      high_ = depth;
      high_value_ = value;
      moved_low_ = false, moved_high_ = true;
    }
    if (++index_ == settings.root_steps) found(secant());
  }

  Stage stage_;
  bool hit_, at_back_, moved_low_, moved_high_;
  int index_, halving_;  // index_: iteration, step or sample within the stage
  RayBounds bounds_;
  const float* fractions_;
  MarchEnd front_, back_;
  // Of a bracket of the root; before, low_ is the last depth outside the surface (march), or low_ and high_ are where
  // the samples begin and end, and low_value_ is that of the last of them.
  float low_, high_, low_value_, high_value_;
  float depth_, best_value_;  // the result; before, the sample with the smallest value
};

NSR_NAMESPACE_END
