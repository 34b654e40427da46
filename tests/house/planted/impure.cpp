// The planted faults of the purity check: one of each kind that the decision core must not touch.
#include <chrono>
#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

std::chrono::nanoseconds clock_read() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

void* device_opened() {
  return dlopen("libcuda.so.1", RTLD_LAZY);
}

bool file_read(const char* path) {
  return std::ifstream(path).good();
}

void logged() {
  std::puts("a line");
}

unsigned dice_thrown() {
  return std::random_device()();
}

void thread_started(std::mutex& mutex) {
  const std::lock_guard lock(mutex);
  std::thread([] {}).join();
}
