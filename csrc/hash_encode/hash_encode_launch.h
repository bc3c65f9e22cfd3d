// What the torch glue and the compiled bodies of the hash grid agree on: plain data, raw pointers, no torch.
#pragma once

#include <cstdint>

namespace nsr {

constexpr int kMaxLevels = 32;

enum Storage : int32_t { kDense = 0, kHash = 1, kTiled = 2 };
enum class Number : int32_t { kFloat, kDouble, kHalf };

// Where a level lives in the table and how its vertices find their rows.
struct Level {
  double scale;                 // cells per unit length
  int64_t offset;               // first row
  uint32_t size;                // rows; a power of two unless dense
  uint32_t stride_y, stride_z;  // of dense and tiled levels; 0 for an axis that a tile does not tell apart
  Storage storage;
};

struct HashEncodeInputs {
  int64_t count;          // points
  const void* positions;  // [count, 3], float or double
  const void* table;      // [rows, features], of the positions' type or half
  Number number, table_number;
  int32_t features;  // 1, 2, 4 or 8
  int32_t levels;
  bool smoothstep;
  Level level[kMaxLevels];
};

// Gradients of a loss in the outputs, of the positions' type; jacobian is null where there is none.
struct HashEncodeGradients {
  const void* features;  // [count, levels * features]
  const void* jacobian;  // [count, levels * features, 3]
};

constexpr int kBlockRows = 8;  // rows of a table that share a mark

// The bodies for the CPU, one set per instruction set.  Ranges of points, and levels, are independent of each other:
// the caller may give them to threads, and the results do not depend on how.
struct HashEncodeCpu {
  void (*forward)(const HashEncodeInputs&, int64_t begin, int64_t end, void* features, void* jacobian_or_null);
  // Writes the gradient of a level; with marks [ceil(rows / 8)] adds to it instead, and marks the blocks it touches.
  void (*table_gradient)(const HashEncodeInputs&, const HashEncodeGradients&, int32_t level, void* gradient,
                         uint8_t* marks_or_null);
  void (*position_gradient)(const HashEncodeInputs&, const HashEncodeGradients&, int64_t begin, int64_t end,
                            void* gradient);
};

// The bodies for CUDA; each returns a cudaError_t.  Table gradients are sums in the positions' type, added to what is
// there.  A quantum above 0 asks for sums that do not depend on the order of threads: contributions are rounded to
// multiples of it and summed as 64-bit integers in scratch [rows, features], which must start as zeros.  Marks as
// above.
int launch_hash_encode_forward(const HashEncodeInputs&, void* features, void* jacobian_or_null, void* stream);
int launch_hash_encode_table_gradient(const HashEncodeInputs&, const HashEncodeGradients&, void* gradient,
                                      double quantum, void* scratch, int64_t rows, uint8_t* marks_or_null,
                                      void* stream);
int launch_hash_encode_position_gradient(const HashEncodeInputs&, const HashEncodeGradients&, void* gradient,
                                         void* stream);

}  // namespace nsr
