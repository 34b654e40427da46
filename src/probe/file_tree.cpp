#include "mais/probe/file_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <set>
#include <system_error>
#include <unistd.h>

namespace mais::probing {

std::optional<std::string> FileTree::text_of(std::string_view path) {
  std::string text;
  if (!read(path, text)) return std::nullopt;
  return text;
}

SystemFiles::SystemFiles(std::string root, bool keep_open)
    : root_(root == "/" ? std::string() : std::move(root)), keep_open_(keep_open) {}

SystemFiles::~SystemFiles() {
  for (const auto& [path, descriptor] : open_) ::close(descriptor);
}

int SystemFiles::descriptor_of(std::string_view path, bool& fresh) {
  if (const auto found = open_.find(path); found != open_.end()) {
    fresh = false;
    return found->second;
  }
  fresh = true;
  name_.assign(root_).append(path);
  const int descriptor = ::open(name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor >= 0 && keep_open_) open_.emplace(path, descriptor);
  return descriptor;
}

namespace {

// False when the file could not be read to its end.
bool read_all(int descriptor, std::string& text) {
  std::size_t size = 0;
  text.resize(std::max<std::size_t>(text.capacity(), 4096));
  while (true) {
    const ssize_t got =
        ::pread(descriptor, text.data() + size, text.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    size += static_cast<std::size_t>(got);
    if (got == 0) break;
    if (size == text.size()) {
      if (size >= FileTree::kMaxFile) return false;
      text.resize(size * 2);
    }
  }
  text.resize(size);
  return true;
}

}  // namespace

bool SystemFiles::read(std::string_view path, std::string& text) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    bool fresh = true;
    const int descriptor = descriptor_of(path, fresh);
    if (descriptor < 0) break;
    const bool good = read_all(descriptor, text);
    if (!keep_open_) ::close(descriptor);
    if (good) return true;
    if (keep_open_) {
      ::close(descriptor);
      open_.erase(open_.find(path));
    }
    if (fresh) break;
  }
  text.clear();
  return false;
}

std::vector<std::string> SystemFiles::list(std::string_view path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(root_ + std::string(path), error), end;
  while (!error && at != end) {
    names.push_back(at->path().filename().string());
    at.increment(error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool RecordedFiles::read(std::string_view path, std::string& text) {
  const auto found = files_.find(path);
  text = found == files_.end() ? std::string() : found->second;
  return found != files_.end();
}

std::vector<std::string> RecordedFiles::list(std::string_view path) {
  const std::string prefix = std::string(path) + (path.ends_with('/') ? "" : "/");
  std::set<std::string> names;
  for (auto at = files_.lower_bound(prefix); at != files_.end() && at->first.starts_with(prefix);
       ++at) {
    const std::string_view rest = std::string_view(at->first).substr(prefix.size());
    names.emplace(rest.substr(0, rest.find('/')));
  }
  return {names.begin(), names.end()};
}

bool RecordingFiles::read(std::string_view path, std::string& text) {
  if (!tree_.read(path, text)) return false;
  files_.insert_or_assign(std::string(path), text);
  return true;
}

}  // namespace mais::probing
