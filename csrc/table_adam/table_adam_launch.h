// What the torch glue and the compiled bodies of the table's optimiser agree on.
#pragma once

#include <cstdint>

namespace nsr {

struct TableAdamStep {
  void *table, *first_moment, *second_moment;  // [count] each, all float or all double
  const void* gradient;
  int64_t count;
  // Where only marked blocks of the gradient are not zero: a mark for each, and their length in numbers.  They are then
  // cleared, marks and gradient, once they are used.  Null: every number is looked at, and nothing is cleared.
  uint8_t* marks;
  int64_t block;
  bool is_double;
  double rate;             // learning rate over the first moment's bias correction
  double beta1, beta2;
  double inverse_correction;  // 1 / sqrt of the second moment's bias correction
  double epsilon;
};

// Ranges are of numbers, or with marks of blocks.
struct TableAdamCpu {
  void (*step)(const TableAdamStep&, int64_t begin, int64_t end);
  void (*marked_step)(const TableAdamStep&, int64_t begin, int64_t end);
};

int launch_table_adam(const TableAdamStep&, void* stream);  // a cudaError_t

}  // namespace nsr
