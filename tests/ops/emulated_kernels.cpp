// Runs the hash grid's CUDA kernels on the CPU, one thread after the other: reads a problem, writes all results.
// Every array lies in a heap block of exactly its size, so that the address sanitizer sees a step beyond it.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../../csrc/hash_encode/hash_encode_cuda.cu"

namespace {

struct Header {
  int64_t count, features, levels, smoothstep, number, table_number, rows, jacobian;
  double quantum;
};

std::vector<char> read_block(FILE* file, size_t bytes) {
  std::vector<char> block(bytes);
  if (bytes > 0 && std::fread(block.data(), 1, bytes, file) != bytes) std::abort();
  return block;
}

void write_block(FILE* file, const std::vector<char>& block) {
  if (!block.empty() && std::fwrite(block.data(), 1, block.size(), file) != block.size()) std::abort();
}

}  // namespace

int main(int, char** arguments) {
  FILE* file = std::fopen(arguments[1], "rb");
  Header header;
  if (file == nullptr || std::fread(&header, sizeof header, 1, file) != 1) return 2;
  const size_t number = header.number == 1 ? 8 : 4, table_number = header.table_number == 2 ? 2 : number;
  const size_t channels = size_t(header.count * header.levels * header.features);
  const size_t entries = size_t(header.rows * header.features);

  nsr::HashEncodeInputs in{};
  for (int l = 0; l < header.levels; ++l) {
    int64_t row[5];
    double scale;
    if (std::fread(row, sizeof row, 1, file) != 1 || std::fread(&scale, sizeof scale, 1, file) != 1) return 2;
    in.level[l] = {scale, row[0], uint32_t(row[1]), uint32_t(row[2]), uint32_t(row[3]), nsr::Storage(row[4])};
  }
  const std::vector<char> positions = read_block(file, 3 * header.count * number);
  const std::vector<char> table = read_block(file, entries * table_number);
  const std::vector<char> grad_features = read_block(file, channels * number);
  const std::vector<char> grad_jacobian = read_block(file, header.jacobian ? 3 * channels * number : 0);
  std::fclose(file);

  in.count = header.count;
  in.positions = positions.data();
  in.table = table.data();
  in.number = nsr::Number(header.number);
  in.table_number = nsr::Number(header.table_number);
  in.features = int32_t(header.features);
  in.levels = int32_t(header.levels);
  in.smoothstep = header.smoothstep != 0;
  const nsr::HashEncodeGradients gradients{grad_features.data(), header.jacobian ? grad_jacobian.data() : nullptr};

  std::vector<char> features(channels * number), jacobian(grad_jacobian.size());
  std::vector<char> grad_table(entries * number), sums(header.quantum > 0 ? entries * 8 : 0);
  std::vector<char> grad_positions(positions.size());
  nsr::launch_hash_encode_forward(in, features.data(), header.jacobian ? jacobian.data() : nullptr, nullptr);
  nsr::launch_hash_encode_table_gradient(in, gradients, grad_table.data(), header.quantum, sums.data(), header.rows,
                                         nullptr, nullptr);
  // Once more with marks: the same sums, and nothing outside of marked blocks.
  std::vector<char> marked(entries * number);
  std::vector<uint8_t> marks(size_t(header.rows + nsr::kBlockRows - 1) / nsr::kBlockRows);
  nsr::launch_hash_encode_table_gradient(in, gradients, marked.data(), 0, nullptr, header.rows, marks.data(), nullptr);
  if (header.quantum == 0 && marked != grad_table) return 3;
  const size_t row_bytes = size_t(header.features) * number;
  for (size_t i = 0; i < marked.size(); ++i)
    if (marked[i] != 0 && marks[i / row_bytes / nsr::kBlockRows] == 0) return 4;
  nsr::launch_hash_encode_position_gradient(in, gradients, grad_positions.data(), nullptr);

  file = std::fopen(arguments[2], "wb");
  if (file == nullptr) return 2;
  for (const auto* block : {&features, &jacobian, &grad_table, &grad_positions}) write_block(file, *block);
  return std::fclose(file);
}
