// The conformance suite on a real GPU. Skips where there is none, unless the build says that there
// must be one (MAIS_DEVICE_TESTS).
#include "cuda_subjects.hpp"

namespace mais::memory {
namespace {

INSTANTIATE_TEST_SUITE_P(RealGpu, SourceConformance,
                         ::testing::Values(SubjectMaker{"cuda_virtual_memory", real_cuda_virtual},
                                           SubjectMaker{"cuda_stream_ordered_pool", real_cuda_pool},
                                           SubjectMaker{"cuda_pinned", real_cuda_pinned}),
                         [](const auto& subject) { return subject.param.name; });

}  // namespace
}  // namespace mais::memory
