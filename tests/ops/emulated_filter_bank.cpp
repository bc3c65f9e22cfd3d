// Runs the filter bank's CUDA kernels on the CPU, one thread after the other: reads a problem, writes all results.
// Every array lies in a heap block of exactly its size, so that the address sanitizer sees a step beyond it.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../../csrc/filter_bank/filter_bank_cuda.cu"

namespace {

struct Header {
  int64_t count, streams, width, is_double, features, channels, first_channel;
  double frequency;
};

std::vector<char> read_block(FILE* file, size_t numbers, size_t size) {
  std::vector<char> block(numbers * size);
  if (!block.empty() && std::fread(block.data(), 1, block.size(), file) != block.size()) std::abort();
  return block;
}

}  // namespace

int main(int, char** arguments) {
  FILE* file = std::fopen(arguments[1], "rb");
  Header header;
  if (file == nullptr || std::fread(&header, sizeof header, 1, file) != 1) return 2;
  const size_t size = header.is_double ? 8 : 4, numbers = size_t(header.streams * header.count * header.width);
  const size_t grid_numbers = header.features > 0 ? size_t(header.count * header.channels) : 0;
  const auto preactivations = read_block(file, numbers, size), gradient = read_block(file, numbers, size);
  const auto bias = read_block(file, size_t(header.width), size);
  const auto grid = read_block(file, grid_numbers, size);
  const auto jacobian = read_block(file, header.streams == 4 ? 3 * grid_numbers : 0, size);
  const auto bands = read_block(file, size_t(header.features * header.width), size);
  const auto phase = read_block(file, header.features > 0 ? size_t(header.width) : 0, size);
  std::fclose(file);

  nsr::FilterBankLayer in{};
  in.count = header.count;
  in.streams = int32_t(header.streams);
  in.width = int32_t(header.width);
  in.is_double = header.is_double != 0;
  in.frequency = header.frequency;
  in.preactivations = preactivations.data();
  in.bias = bias.data();
  in.features = int32_t(header.features);
  in.channels = int32_t(header.channels);
  in.first_channel = int32_t(header.first_channel);
  in.grid = grid.data();
  in.grid_jacobian = header.streams == 4 ? jacobian.data() : nullptr;
  in.bands = bands.data();
  in.phase = phase.data();

  std::vector<char> hidden(numbers * size), grad_preactivations(numbers * size),
      grad_phases(header.features > 0 ? numbers * size : 0), again(numbers * size);
  nsr::launch_filter_bank_forward(in, hidden.data(), nullptr);
  nsr::launch_filter_bank_backward(in, gradient.data(), again.data(), grad_preactivations.data(),
                                   grad_phases.empty() ? nullptr : grad_phases.data(), nullptr);

  file = std::fopen(arguments[2], "wb");
  if (file == nullptr) return 2;
  for (const auto* block : {&hidden, &again, &grad_preactivations, &grad_phases})
    if (!block->empty() && std::fwrite(block->data(), 1, block->size(), file) != block->size()) return 2;
  return std::fclose(file);
}
