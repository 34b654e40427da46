#include "buffer_log.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <llama.h>
#include <mutex>
#include <optional>

namespace llama_server {

namespace {

using mais::Bytes;

constexpr double kMebibyte = 1 << 20;
constexpr Bytes kHalfDigit(5244);  // of a line, 0.005 MiB, rounded up

thread_local BufferLog* current = nullptr;

void on_line(ggml_log_level level, const char* text, void*) {
  if (current != nullptr) current->add(level, text);
}

// The number after `key`, in MiB.
std::optional<Bytes> mebibytes_after(std::string_view line, std::string_view key) {
  const auto at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(at + key.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  double value = 0;
  const auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(rest.data() + rest.size() - end));
  if (fault != std::errc() || !unit.starts_with(" MiB") || !(value >= 0 && value < 1e12)) {
    return std::nullopt;
  }
  return Bytes(std::llround(value * kMebibyte));
}

}  // namespace

Bytes at_least(Bytes said) noexcept {
  return std::max(Bytes(0), said - kHalfDigit);
}
Bytes at_most(Bytes said) noexcept {
  return said == Bytes(0) ? said : said + kHalfDigit;
}

void read_buffer_line(std::string_view line, BufferSizes& sizes) {
  const auto add = [&](std::string_view key, Bytes& to) {
    if (const auto bytes = mebibytes_after(line, key)) to += *bytes;
  };
  add(" model buffer size =", sizes.weights);
  add(" compute buffer size =", sizes.compute);
  add(" output buffer size =", sizes.output);
  // The sum of a cache's tensors: it is there in a rehearsal too, which allocates no buffer.
  if (line.find(" cells,") != std::string_view::npos) add(": size =", sizes.state);
}

BufferLog::BufferLog() : outer_(current) {
  static std::once_flag once;
  std::call_once(once, [] { llama_log_set(on_line, nullptr); });
  current = this;
}

BufferLog::~BufferLog() {
  current = outer_;
}

void BufferLog::add(int level, std::string_view text) {
  if (level == GGML_LOG_LEVEL_DEBUG) return;
  line_ += text;
  if (!line_.ends_with('\n')) return;
  line_.pop_back();
  read_buffer_line(line_, sizes_);
  if (level == GGML_LOG_LEVEL_WARN) warning_ = line_;
  if (level == GGML_LOG_LEVEL_ERROR && ++complaints_ <= 2) {
    errors_ += (errors_.empty() ? "" : "; ") + line_;
  }
  line_.clear();
}

}  // namespace llama_server
