// Sources of CUDA memory for the conformance suite: over the fake driver, and over a real one.
#pragma once

#include "source_conformance.hpp"

namespace mais::memory {

using SubjectFactory = std::unique_ptr<Subject> (*)(std::string& why_not);

std::unique_ptr<Subject> fake_cuda_virtual(std::string& why_not);
std::unique_ptr<Subject> fake_cuda_pool(std::string& why_not);
std::unique_ptr<Subject> fake_cuda_pinned(std::string& why_not);
std::unique_ptr<Subject> real_cuda_virtual(std::string& why_not);
std::unique_ptr<Subject> real_cuda_pool(std::string& why_not);
std::unique_ptr<Subject> real_cuda_pinned(std::string& why_not);

}  // namespace mais::memory
