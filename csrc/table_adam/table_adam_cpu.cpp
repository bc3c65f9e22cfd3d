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

template <class S>
struct Arrays {
  S *gradient, *table, *first, *second;

  void prefetch(int64_t i) const {
    __builtin_prefetch(gradient + i, 1);
    __builtin_prefetch(table + i, 1);
    __builtin_prefetch(first + i, 1);
    __builtin_prefetch(second + i, 1);
  }
};

template <class S, int kPiece>
void update_block(const AdamConstants<S>& constants, const Arrays<S>& to, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kPiece <= end; i += kPiece)
    update<S, kPiece>(constants, to.gradient + i, to.table + i, to.first + i, to.second + i);
  for (; i < end; ++i) update<S, 1>(constants, to.gradient + i, to.table + i, to.first + i, to.second + i);
  std::memset(to.gradient + begin, 0, size_t(end - begin) * sizeof(S));
}

// Marked blocks lie scattered: each is fetched from memory some blocks before its turn.
template <class S, int kPiece>
void marked_step(const TableAdamStep& in, int64_t begin, int64_t end) {
  constexpr int kAhead = 16;
  const AdamConstants<S> constants(in);
  const Arrays<S> to{static_cast<S*>(const_cast<void*>(in.gradient)), static_cast<S*>(in.table),
                     static_cast<S*>(in.first_moment), static_cast<S*>(in.second_moment)};
  int64_t waiting[kAhead], count = 0;
  const auto update_one = [&](int64_t first) {
    const int64_t last = first + in.block;
    update_block<S, kPiece>(constants, to, first, last < in.count ? last : in.count);
  };
  for (int64_t b = begin; b < end; ++b) {
    if (in.marks[b] == 0) continue;
    in.marks[b] = 0;
    to.prefetch(b * in.block);
    int64_t& place = waiting[count % kAhead];
    if (count >= kAhead) update_one(place);
    place = b * in.block;
    ++count;
  }
  for (int64_t i = count > kAhead ? count - kAhead : 0; i < count; ++i) update_one(waiting[i % kAhead]);
}

void run_step(const TableAdamStep& in, int64_t begin, int64_t end) {
  in.is_double ? step<double>(in, begin, end) : step<float>(in, begin, end);
}

void run_marked_step(const TableAdamStep& in, int64_t begin, int64_t end) {
  // A block holds 8, 16, 32 or 64 numbers, or another multiple of 8.
  const bool wide = in.block % 16 == 0;
  if (in.is_double) return marked_step<double, 8>(in, begin, end);
  wide ? marked_step<float, 16>(in, begin, end) : marked_step<float, 8>(in, begin, end);
}

}  // namespace

extern const TableAdamCpu table_adam_cpu;
const TableAdamCpu table_adam_cpu{run_step, run_marked_step};

NSR_NAMESPACE_END
