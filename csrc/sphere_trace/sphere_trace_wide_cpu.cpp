// The tracer on the CPU.  Compiled once per instruction set, each time with its own NSR_ISA.
//
// A thread has as many rays in flight as the network is evaluated at together, and takes another as soon as one is
// done, so that batches stay full; where there are none left to take, samples that a ray will want later fill them.
#include <memory>

#include "../field_value/grid_network.h"
#include "ray_search.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int64_t kRaysAtATime = 32;

struct Flight {
  int64_t index;
  Ray ray;
  RaySearch search;
};

class Tracer {
 public:
  Tracer(const GridNetwork& network, const HullGrid& hull, const TraceSettings& settings, const TraceRays& rays,
         const TraceResults& results, int64_t (*take)(void*, int64_t), void* counter)
      : evaluator_(network), hull_(hull), settings_(settings), rays_(rays), results_(results), take_(take),
        counter_(counter) {}

  void run() {
    for (fill(); flying_ > 0; fill()) {
      int count = 0;
      // What each wants now, then what the later ones will want, as far as there is room.
      int room = kBatch - flying_;
      for (int i = 0; i < flying_; ++i) {
        const RaySearch& search = flights_[i].search;
        int wanted = search.known_ahead(settings_);
        if (wanted > room + 1) wanted = room + 1;
        room -= wanted - 1;
        wanted_[i] = wanted;
        for (int ahead = 0; ahead < wanted; ++ahead, ++count) {
          depths_[count] = search.wants(settings_, ahead);
          float point[3];
          flights_[i].ray.at(depths_[count], point);
          for (int a = 0; a < 3; ++a) evaluator_.axis(a)[count] = point[a];
        }
      }
      evaluator_.evaluate(count, values_);
      int from = 0, kept = 0;
      for (int i = 0; i < flying_; ++i) {
        RaySearch& search = flights_[i].search;
        const Stage stage = search.stage();
        for (int ahead = 0; ahead < wanted_[i] && search.stage() == stage; ++ahead)
          search.accept(settings_, depths_[from + ahead], values_[from + ahead]);
        from += wanted_[i];
        if (search.stage() == kDone) {
          land(flights_[i]);
        } else {
          if (kept != i) flights_[kept] = flights_[i];
          ++kept;
        }
      }
      flying_ = kept;
    }
  }

 private:
  void land(const Flight& flight) {
    results_.depth[flight.index] = flight.search.depth();
    results_.hit[flight.index] = flight.search.hit();
  }

  // Takes rays until the batch is full or there are no more.
  void fill() {
    while (flying_ < kBatch) {
      if (next_ == end_) {
        next_ = take_(counter_, kRaysAtATime);
        end_ = next_ + kRaysAtATime < rays_.count ? next_ + kRaysAtATime : rays_.count;
        if (next_ >= rays_.count) {
          next_ = end_;
          return;
        }
      }
      Flight& flight = flights_[flying_];
      flight.index = next_++;
      std::memcpy(flight.ray.origin, rays_.origins + 3 * flight.index, sizeof flight.ray.origin);
      std::memcpy(flight.ray.direction, rays_.directions + 3 * flight.index, sizeof flight.ray.direction);
      const RayBounds bounds = find_bounds(flight.ray, settings_.radius, hull_);
      results_.meets[flight.index] = bounds.meets;
      const bool wanted = bounds.meets && (rays_.mask == nullptr || rays_.mask[flight.index]);
      const float* fractions =
          rays_.fractions == nullptr ? nullptr : rays_.fractions + flight.index * settings_.closest_samples;
      flight.search.begin(settings_, bounds, wanted, fractions);
      if (flight.search.stage() == kDone) {
        land(flight);
      } else {
        ++flying_;
      }
    }
  }

  BatchEvaluator evaluator_;
  const HullGrid& hull_;
  const TraceSettings& settings_;
  const TraceRays& rays_;
  const TraceResults& results_;
  int64_t (*take_)(void*, int64_t);
  void* counter_;
  int64_t next_ = 0, end_ = 0;  // rays that were taken and have not started
  int flying_ = 0;
  Flight flights_[kBatch];
  int wanted_[kBatch];
  float depths_[kBatch], values_[kBatch];
};

void trace(const GridNetwork& network, const HullGrid& hull, const TraceSettings& settings, const TraceRays& rays,
           const TraceResults& results, int64_t (*take)(void*, int64_t), void* counter) {
  std::make_unique<Tracer>(network, hull, settings, rays, results, take, counter)->run();
}

}  // namespace

extern const SphereTraceCpu sphere_trace_cpu;
const SphereTraceCpu sphere_trace_cpu{trace};

NSR_NAMESPACE_END
