// Runs the tracer's and the field's CUDA kernels on the CPU: reads a problem, writes all results.
// Every array lies in a heap block of exactly its size, so that the address sanitizer sees a step beyond it.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../../csrc/field_value/field_value_cuda.cu"
#include "../../csrc/sphere_trace/sphere_trace_cuda.cu"

namespace {

struct Header {
  int64_t count, rows, features, levels, half_table, smoothstep, layers, width, size, training, hull[3];
  double bound, beta, settings[10];  // settings: as the operator takes them
};

std::vector<char> read_block(FILE* file, size_t bytes) {
  std::vector<char> block(bytes);
  if (bytes > 0 && std::fread(block.data(), 1, bytes, file) != bytes) std::abort();
  return block;
}

template <class T>
const T* numbers(const std::vector<char>& block) {
  return reinterpret_cast<const T*>(block.data());
}

}  // namespace

int main(int, char** arguments) {
  FILE* file = std::fopen(arguments[1], "rb");
  Header header;
  if (file == nullptr || std::fread(&header, sizeof header, 1, file) != 1) return 2;
  nsr::GridNetwork network{};
  nsr::HashEncodeInputs& grid = network.grid;
  for (int l = 0; l < header.levels; ++l) {
    int64_t row[5];
    double scale;
    if (std::fread(row, sizeof row, 1, file) != 1 || std::fread(&scale, sizeof scale, 1, file) != 1) return 2;
    grid.level[l] = {scale, row[0], uint32_t(row[1]), uint32_t(row[2]), uint32_t(row[3]), nsr::Storage(row[4])};
  }
  const double* settings = header.settings;
  const int64_t closest = header.training ? int64_t(settings[8]) : 0;
  const auto table = read_block(file, size_t(header.rows * header.features) * (header.half_table ? 2 : 4));
  const auto level_weights = read_block(file, size_t(4 * header.levels * header.features));
  const auto parameters = read_block(file, size_t(4 * header.size));
  const auto origins = read_block(file, size_t(12 * header.count));
  const auto directions = read_block(file, size_t(12 * header.count));
  const auto mask = read_block(file, size_t(header.training ? header.count : 0));
  const auto fractions = read_block(file, size_t(4 * closest * header.count));
  const auto hull = read_block(file, size_t(2 * header.hull[0] * header.hull[1] * header.hull[2]));
  std::fclose(file);

  grid.table = table.data();
  grid.number = nsr::Number::kFloat;
  grid.table_number = header.half_table ? nsr::Number::kHalf : nsr::Number::kFloat;
  grid.features = int32_t(header.features);
  grid.levels = int32_t(header.levels);
  grid.smoothstep = header.smoothstep != 0;
  network.level_weights = numbers<float>(level_weights);
  network.parameters = numbers<float>(parameters);
  network.size = int32_t(header.size);
  network.inputs = int32_t(3 + header.levels * header.features);
  network.layers = int32_t(header.layers);
  network.width = int32_t(header.width);
  network.bound = float(header.bound);
  network.beta = float(header.beta);
  nsr::HullGrid bounds{};
  if (!hull.empty()) bounds.values = hull.data();
  for (int a = 0; a < 3; ++a) bounds.size[a] = int32_t(header.hull[a]);
  bounds.margin = float(settings[9]);
  const nsr::TraceSettings search{float(settings[0]), float(settings[1]),   float(settings[2]),
                                  int32_t(settings[3]), int32_t(settings[4]), int32_t(settings[6]),
                                  int32_t(settings[7]), int32_t(settings[8]), settings[5] != 0};
  const nsr::TraceRays rays{header.count, numbers<float>(origins), numbers<float>(directions),
                            header.training ? numbers<bool>(mask) : nullptr,
                            header.training ? numbers<float>(fractions) : nullptr};

  const size_t count = size_t(header.count);
  std::vector<char> depth(4 * count), hit(count), meets(count), values(4 * count);
  const nsr::TraceResults results{reinterpret_cast<float*>(depth.data()), reinterpret_cast<bool*>(hit.data()),
                                  reinterpret_cast<bool*>(meets.data())};
  const int failed = nsr::launch_sphere_trace(network, bounds, search, rays, results, nullptr) |
                     nsr::launch_field_value(network, numbers<float>(origins), header.count,
                                             reinterpret_cast<float*>(values.data()), nullptr);
  if (failed != 0) return 3;

  file = std::fopen(arguments[2], "wb");
  if (file == nullptr) return 2;
  for (const auto* block : {&depth, &values, &hit, &meets})
    if (!block->empty() && std::fwrite(block->data(), 1, block->size(), file) != block->size()) return 2;
  return std::fclose(file);
}
