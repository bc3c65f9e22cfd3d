// The table's optimiser as a torch operator.
#include "../common/torch_glue.h"
#include "table_adam_launch.h"

#include <cmath>

namespace nsr {

NSR_DECLARE_PER_ISA(TableAdamCpu, table_adam_cpu)

namespace {

constexpr int kBlockRows = 8;  // rows of a table that share a mark
constexpr int64_t kBlocksPerTask = 1 << 10;
constexpr int64_t kNumbersPerTask = 1 << 14;  // a multiple of the blocks that are skipped together

TableAdamStep make_step(const Tensor& table, const Tensor& gradient, const Tensor& first, const Tensor& second,
                        int64_t steps, double rate, double beta1, double beta2, double epsilon,
                        const Tensor* touched = nullptr) {
  const ScalarType type = table.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double, "table_adam: float32 or float64 wanted");
  for (const Tensor* other : {&table, &gradient, &first, &second}) {
    STD_TORCH_CHECK(other->scalar_type() == type && other->numel() == table.numel() && other->is_contiguous() &&
                        other->is_cuda() == table.is_cuda(),
                    "table_adam: table, gradient and moments must share shape, type and device, and be contiguous");
  }
  STD_TORCH_CHECK(steps >= 1, "table_adam: steps are counted from 1");
  uint8_t* marks = nullptr;
  int64_t block = 1;
  if (touched != nullptr) {
    block = table.dim() == 2 ? kBlockRows * table.size(1) : 0;
    STD_TORCH_CHECK(block > 0 && touched->scalar_type() == ScalarType::Byte && touched->is_contiguous() &&
                        touched->is_cuda() == table.is_cuda() &&
                        touched->numel() == (table.size(0) + kBlockRows - 1) / kBlockRows,
                    "table_adam: a mark for every ", kBlockRows, " rows of a table of two dimensions is wanted");
    marks = static_cast<uint8_t*>(touched->mutable_data_ptr());
  }
  return {table.mutable_data_ptr(), first.mutable_data_ptr(), second.mutable_data_ptr(), gradient.const_data_ptr(),
          table.numel(), marks, block, type == ScalarType::Double, rate / (1 - std::pow(beta1, double(steps))),
          beta1, beta2, 1 / std::sqrt(1 - std::pow(beta2, double(steps))), epsilon};
}

void table_adam_cpu_step(const Tensor& table, const Tensor& gradient, const Tensor& first, const Tensor& second,
                         int64_t steps, double rate, double beta1, double beta2, double epsilon) {
  const TableAdamStep step = make_step(table, gradient, first, second, steps, rate, beta1, beta2, epsilon);
  torch::stable::parallel_for(0, step.count, kNumbersPerTask, [&](int64_t begin, int64_t end) {
    best_table_adam_cpu().step(step, begin, end);
  });
}

void table_adam_marked_cpu(const Tensor& table, const Tensor& gradient, const Tensor& touched, const Tensor& first,
                           const Tensor& second, int64_t steps, double rate, double beta1, double beta2,
                           double epsilon) {
  const TableAdamStep step = make_step(table, gradient, first, second, steps, rate, beta1, beta2, epsilon, &touched);
  torch::stable::parallel_for(0, touched.numel(), kBlocksPerTask, [&](int64_t begin, int64_t end) {
    best_table_adam_cpu().marked_step(step, begin, end);
  });
}

#if defined(NSR_WITH_CUDA)
void table_adam_cuda_step(const Tensor& table, const Tensor& gradient, const Tensor& first, const Tensor& second,
                          int64_t steps, double rate, double beta1, double beta2, double epsilon) {
  torch::stable::accelerator::DeviceGuard guard(table.get_device_index());
  const TableAdamStep step = make_step(table, gradient, first, second, steps, rate, beta1, beta2, epsilon);
  check_cuda(launch_table_adam(step, current_cuda_stream(table)), "table_adam");
}

void table_adam_marked_cuda(const Tensor& table, const Tensor& gradient, const Tensor& touched, const Tensor& first,
                            const Tensor& second, int64_t steps, double rate, double beta1, double beta2,
                            double epsilon) {
  torch::stable::accelerator::DeviceGuard guard(table.get_device_index());
  const TableAdamStep step = make_step(table, gradient, first, second, steps, rate, beta1, beta2, epsilon, &touched);
  check_cuda(launch_table_adam(step, current_cuda_stream(table)), "table_adam");
  Tensor marks = touched;
  torch::stable::zero_(marks);  // once every thread has read them
}
#endif

}  // namespace
}  // namespace nsr

STABLE_TORCH_LIBRARY_FRAGMENT(nsr, library) {
  library.def(
      "table_adam(Tensor(a!) table, Tensor gradient, Tensor(b!) first_moment, Tensor(c!) second_moment, int steps,"
      " float rate, float beta1, float beta2, float epsilon) -> ()");
  library.def(
      "table_adam_marked(Tensor(a!) table, Tensor(b!) gradient, Tensor(c!) touched, Tensor(d!) first_moment,"
      " Tensor(e!) second_moment, int steps, float rate, float beta1, float beta2, float epsilon) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(nsr, CPU, library) {
  library.impl("table_adam", TORCH_BOX(&nsr::table_adam_cpu_step));
  library.impl("table_adam_marked", TORCH_BOX(&nsr::table_adam_marked_cpu));
}

#if defined(NSR_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(nsr, CUDA, library) {
  library.impl("table_adam", TORCH_BOX(&nsr::table_adam_cuda_step));
  library.impl("table_adam_marked", TORCH_BOX(&nsr::table_adam_marked_cuda));
}
#endif
