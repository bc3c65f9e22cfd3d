// The table's optimiser on the CPU: whole blocks without a gradient cost no more than reading their gradient.
#include "table_adam.h"

NSR_NAMESPACE_BEGIN
namespace {

constexpr int kBlock = 64;

template <class S>
bool has_gradient(const S* gradient) {
  int any = 0;
  for (int i = 0; i < kBlock; ++i) any |= gradient[i] != S(0);
  return any != 0;
}

// Not inlined: within the caller g++ forgets that the arrays do not overlap, and computes number by number.
template <class S, int kCount>
__attribute__((noinline)) void update(const AdamConstants<S>& constants, const S* __restrict gradient,
                                      S* __restrict table, S* __restrict first, S* __restrict second) {
  const AdamConstants<S> c = constants;
  for (int i = 0; i < kCount; ++i) adam_update(c, gradient[i], table[i], first[i], second[i]);
}

template <class S>
void step(const TableAdamStep& in, int64_t begin, int64_t end) {
  const AdamConstants<S> constants(in);
  const S* gradient = static_cast<const S*>(in.gradient);
  S *table = static_cast<S*>(in.table), *first = static_cast<S*>(in.first_moment),
    *second = static_cast<S*>(in.second_moment);
  int64_t i = begin;
  for (; i + kBlock <= end; i += kBlock)
    if (has_gradient(gradient + i)) update<S, kBlock>(constants, gradient + i, table + i, first + i, second + i);
  for (; i < end; ++i) update<S, 1>(constants, gradient + i, table + i, first + i, second + i);
}

void run_step(const TableAdamStep& in, int64_t begin, int64_t end) {
  in.is_double ? step<double>(in, begin, end) : step<float>(in, begin, end);
}

}  // namespace

extern const TableAdamCpu table_adam_cpu;
const TableAdamCpu table_adam_cpu{run_step};

NSR_NAMESPACE_END
