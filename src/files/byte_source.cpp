#include "byte_source.hpp"

#include <cstring>
#include <filesystem>

namespace mais::files {

namespace {

constexpr std::size_t kWindow = 64 * 1024;
constexpr std::size_t kShown = 80;

}  // namespace

std::string shown(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kShown)) line += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > kShown) line += "...";
  return line;
}

tl::unexpected<Error> ByteSource::wrong(std::uint64_t offset, const std::string& problem) const {
  return fail(ErrorCode::parse_error,
              name_ + ": at byte " + std::to_string(offset) + ": " + problem);
}

bool MemorySource::read(std::uint64_t offset, char* to, std::size_t count) {
  std::memcpy(to, bytes_.data() + offset, count);
  return true;
}

Result<std::unique_ptr<FileSource>> FileSource::open(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    return fail(ErrorCode::not_found, path + ": there is no such file");
  }
  if (!std::filesystem::is_regular_file(status)) {
    return fail(ErrorCode::io_error, path + ": is not a regular file");
  }
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file) return fail(ErrorCode::io_error, path + ": cannot be opened");
  return std::unique_ptr<FileSource>(new FileSource(path, size, std::move(file)));
}

bool FileSource::read(std::uint64_t offset, char* to, std::size_t count) {
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(offset));
  file_.read(to, static_cast<std::streamsize>(count));
  return file_.gcount() == static_cast<std::streamsize>(count);
}

std::string ByteReader::text(std::uint64_t count, const char* what) {
  if (!enough(count, what)) return {};
  std::string bytes(count, '\0');
  take(bytes.data(), bytes.size(), what);
  return bytes;
}

void ByteReader::skip(std::uint64_t count, const char* what) {
  if (enough(count, what)) at_ += count;
}

void ByteReader::refuse(std::uint64_t offset, const std::string& problem) {
  if (!failed()) error_ = std::make_unique<Error>(source_.wrong(offset, problem).value());
}

bool ByteReader::enough(std::uint64_t count, const char* what) {
  if (failed()) return false;
  if (count <= remaining()) return true;
  const bool cut = end_ == source_.size();
  refuse(at_, std::string(what) + " takes " + std::to_string(count) + " bytes, but " +
                  (cut ? "the file ends" : "the most that is read of a header ends") + " after " +
                  std::to_string(remaining()) + (cut ? "; it is cut short or damaged" : ""));
  return false;
}

bool ByteReader::take(char* to, std::size_t count, const char* what) {
  if (!enough(count, what)) return false;
  while (count > 0) {
    if (at_ < window_begin_ || at_ >= window_begin_ + window_.size()) {
      window_.resize(std::min<std::uint64_t>(kWindow, remaining()));
      window_begin_ = at_;
      if (!source_.read(at_, window_.data(), window_.size())) {
        window_.clear();
        refuse(at_, "the file cannot be read here; it may have been cut while it was read");
        return false;
      }
    }
    const std::uint64_t from = at_ - window_begin_;
    const std::size_t piece = std::min<std::size_t>(count, window_.size() - from);
    std::memcpy(to, window_.data() + from, piece);
    to += piece;
    at_ += piece;
    count -= piece;
  }
  return true;
}

}  // namespace mais::files
