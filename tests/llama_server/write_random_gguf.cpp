// Writes a small model with random weights: write_random_gguf <file> <seed> <type>.
#include <cstdlib>

#include "random_gguf.hpp"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto type = mais::files::element_type_named(argv[3]);
  if (!type) return 2;
  llama_server::RandomGgufFile({.seed = std::strtoull(argv[2], nullptr, 10),
                                .type = *type,
                                .layers = 4,
                                .width = 128,
                                .inner = 384,
                                .context = 2048})
      .write(argv[1]);
  return 0;
}
