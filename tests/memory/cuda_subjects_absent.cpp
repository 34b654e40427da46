// Where cuda.h was not there, the suite says so.
#include "cuda_subjects.hpp"

namespace mais::memory {

namespace {
std::unique_ptr<Subject> none(std::string& why_not) {
  why_not = "built without CUDA";
  return nullptr;
}
}  // namespace

std::unique_ptr<Subject> fake_cuda_virtual(std::string& why_not) {
  return none(why_not);
}
std::unique_ptr<Subject> fake_cuda_pool(std::string& why_not) {
  return none(why_not);
}
std::unique_ptr<Subject> fake_cuda_pinned(std::string& why_not) {
  return none(why_not);
}
std::unique_ptr<Subject> real_cuda_virtual(std::string& why_not) {
  return none(why_not);
}
std::unique_ptr<Subject> real_cuda_pool(std::string& why_not) {
  return none(why_not);
}
std::unique_ptr<Subject> real_cuda_pinned(std::string& why_not) {
  return none(why_not);
}

}  // namespace mais::memory
