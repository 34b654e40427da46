// Loads the fake driver libraries and lets them show one world, for as long as this lives.
#pragma once

#include <dlfcn.h>

#include <gtest/gtest.h>

#include "fake/fake_gpus.hpp"

namespace mais::probing::fake {

class FakeDrivers {
 public:
  FakeDrivers() {
    for (const char* name : {MAIS_FAKE_CUDA, MAIS_FAKE_OLD_CUDA, MAIS_FAKE_NVML}) {
      void* const library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
      EXPECT_NE(library, nullptr) << ::dlerror();
      if (library == nullptr) continue;
      libraries_.push_back(library);
      set(library, &world);
    }
  }
  FakeDrivers(const FakeDrivers&) = delete;
  FakeDrivers& operator=(const FakeDrivers&) = delete;
  ~FakeDrivers() {
    for (void* library : libraries_) {
      set(library, nullptr);
      ::dlclose(library);
    }
  }

  FakeWorld world;

  static const char* cuda() { return MAIS_FAKE_CUDA; }
  static const char* old_cuda() { return MAIS_FAKE_OLD_CUDA; }
  static const char* nvml() { return MAIS_FAKE_NVML; }

 private:
  static void set(void* library, FakeWorld* shown) {
    reinterpret_cast<SetWorld>(::dlsym(library, kSetWorld))(shown);
  }
  std::vector<void*> libraries_;
};

constexpr unsigned long long kGiB = 1ULL << 30;

// Two GPUs in different slots; NVML shows them in the opposite order.
inline std::vector<FakeGpu> two_gpus() {
  FakeGpu first;
  first.name = "Fake GPU A";
  first.uuid = "aaaaaaaa-0000-0000-0000-000000000001";
  first.bus = 0x17;
  first.total = 80 * kGiB;
  first.used = 2 * kGiB;
  FakeGpu second;
  second.name = "Fake GPU B";
  second.uuid = "bbbbbbbb-0000-0000-0000-000000000002";
  second.bus = 0xca;
  second.total = 40 * kGiB;
  second.used = 10 * kGiB;
  second.host_node = 1;
  return {first, second};
}

}  // namespace mais::probing::fake
