// take_gpu_memory <library> <ordinal> <bytes>: takes memory of a GPU, says "taken", and holds it
// until its standard input ends. The other process of the tests on a real GPU.
#include <cstdio>
#include <cstdlib>

#include "probe/cuda_functions.hpp"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto cuda = mais::probing::load_cuda(argv[1]);
  if (!cuda) {
    std::fprintf(stderr, "%s\n", cuda.error().message.c_str());
    return 1;
  }
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUdeviceptr memory = 0;
  const bool good = cuda->device(&device, std::atoi(argv[2])) == CUDA_SUCCESS &&
                    cuda->retain_context(&context, device) == CUDA_SUCCESS &&
                    cuda->push_context(context) == CUDA_SUCCESS &&
                    cuda->allocate(&memory, std::strtoull(argv[3], nullptr, 10)) == CUDA_SUCCESS;
  std::puts(good ? "taken" : "failed");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return good ? 0 : 1;
}
