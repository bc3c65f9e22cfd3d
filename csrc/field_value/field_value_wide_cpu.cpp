// Values of a grid network on the CPU.  Compiled once per instruction set, each time with its own NSR_ISA.
#include <memory>

#include "grid_network.h"

NSR_NAMESPACE_BEGIN
namespace {

void evaluate(const GridNetwork& network, const float* positions, int64_t begin, int64_t end, float* values) {
  const auto batch = std::make_unique<BatchEvaluator>(network);
  for (int64_t start = begin; start < end; start += kBatch) {
    const int count = int(end - start < kBatch ? end - start : kBatch);
    for (int i = 0; i < count; ++i)
      for (int a = 0; a < 3; ++a) batch->axis(a)[i] = positions[3 * (start + i) + a];
    batch->evaluate(count, values + start);
  }
}

}  // namespace

extern const FieldValueCpu field_value_cpu;
const FieldValueCpu field_value_cpu{evaluate};

NSR_NAMESPACE_END
