// What the parts of the FAKE libcuda.so.1 share.
#pragma once

#include <cuda.h>
#include <mutex>

#include "fake_gpus.hpp"

namespace mais::probing::fake {

extern FakeWorld* world;
extern std::recursive_mutex mutex;  // guards the world against threads of one test

FakeGpu* gpu_of(CUdevice device);
FakeGpu* current();                  // of the context that is current in this thread, or null
CUresult planned(const char* call);  // what the test wants this call to say

#define FAKE_MAY_FAIL(call) \
  if (const CUresult status = planned(call); status != CUDA_SUCCESS) return status

struct FakeEvent {
  double at = 0;
  CUstream stream = nullptr;
  std::uint64_t place = 0;  // in the stream: how much stands before it
};

// Memory that holds what is copied into it, streams that do nothing until somebody waits for them.
std::map<std::string, void*> memory_functions();
void mark_in_stream(FakeEvent* event, CUstream stream);
CUresult run_up_to(FakeEvent* event);
void forget_memory();

}  // namespace mais::probing::fake
