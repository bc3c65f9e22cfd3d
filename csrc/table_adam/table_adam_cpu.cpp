// The table's optimiser on the CPU: whole blocks without a gradient cost no more than reading their gradient.
#include "table_adam.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int64_t kBlock = 16;

template <class S>
void step(const TableAdamStep& in, int64_t begin, int64_t end) {
  const AdamConstants<S> constants(in);
  const S* __restrict gradient = static_cast<const S*>(in.gradient);
  S* __restrict table = static_cast<S*>(in.table);
  S* __restrict first = static_cast<S*>(in.first_moment);
  S* __restrict second = static_cast<S*>(in.second_moment);
  int64_t i = begin;
  for (; i + kBlock <= end; i += kBlock) {
    bool any = false;
    for (int64_t j = i; j < i + kBlock; ++j) any |= gradient[j] != S(0);
    if (!any) continue;
    for (int64_t j = i; j < i + kBlock; ++j) adam_update(constants, gradient[j], table[j], first[j], second[j]);
  }
  for (; i < end; ++i) adam_update(constants, gradient[i], table[i], first[i], second[i]);
}

void run_step(const TableAdamStep& in, int64_t begin, int64_t end) {
  in.is_double ? step<double>(in, begin, end) : step<float>(in, begin, end);
}

}  // namespace

extern const TableAdamCpu table_adam_cpu;
const TableAdamCpu table_adam_cpu{run_step};

NSR_NAMESPACE_END
