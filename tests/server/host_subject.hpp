// The engines that the tests of the host are run with: a fake one, those on LibTorch.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <vector>

#include "engine.hpp"

namespace server {

struct SubjectWish {
  std::int64_t pages = 256;  // of 8 tokens; contexts have 256 at most
  std::int64_t host_pages = 0;
  std::optional<Token> end_of_text{};
  std::pmr::memory_resource* workspace = nullptr;  // none: that of the subject
};

// Everything that its engines hold is gone with them. The subject outlives them.
class HostSubject {
 public:
  virtual ~HostSubject() = default;

  virtual std::unique_ptr<Engine> decoder(const SubjectWish& wish) = 0;
  virtual std::unique_ptr<Engine> encoder() = 0;
  // What the decoder goes on with after a prompt, computed apart from any host.
  virtual std::vector<Token> alone(const std::vector<Token>& prompt, std::size_t new_tokens,
                                   const Sampling& sampling) = 0;
  virtual std::pmr::memory_resource& workspace() = 0;
  // Bytes that engines hold now.
  virtual mais::Bytes used() = 0;

 protected:
  HostSubject() = default;
  HostSubject(const HostSubject&) = default;
  HostSubject& operator=(const HostSubject&) = default;
};

// Defined once in each program of these tests.
std::unique_ptr<HostSubject> make_host_subject();

}  // namespace server
