// The text of an answer as its tokens come: valid UTF-8, cut at the first stop text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer.hpp"

namespace server {

// How long the character at the beginning of `bytes` is: 1 ... 4; 0: more bytes are needed to tell;
// -1: this byte begins none (RFC 3629, section 4).
inline int utf8_length(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const int length = lead >= 0xc2 && lead <= 0xdf   ? 2
                     : lead >= 0xe0 && lead <= 0xef ? 3
                     : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                    : -1;
  if (length < 0) return -1;
  for (std::size_t i = 1; i < static_cast<std::size_t>(length); ++i) {
    if (i == bytes.size()) return 0;
    unsigned least = 0x80, most = 0xbf;
    if (i == 1 && lead == 0xe0) least = 0xa0;  // no longer than needed
    if (i == 1 && lead == 0xed) most = 0x9f;   // no surrogates
    if (i == 1 && lead == 0xf0) least = 0x90;
    if (i == 1 && lead == 0xf4) most = 0x8f;  // U+10FFFF is the last
    if (byte(i) < least || byte(i) > most) return -1;
  }
  return length;
}

// One user at a time.
class AnswerText {
 public:
  // The tokenizer outlives it.
  explicit AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops = {})
      : tokenizer_(&tokenizer), stops_(std::move(stops)) {}

  void push(Token token) {
    if (stopped_) return;
    tokenizer_->append_text(token, bytes_);
  }
  // The text that is certain by now and was not taken yet; `last`: nothing more will come. Bytes
  // that are no character become U+FFFD, one for each.
  std::string take(bool last) {
    if (!stopped_) decode(last);
    std::size_t certain = text_.size();
    if (!stopped_) {
      const std::size_t at = first_stop();
      if (at != std::string::npos) {
        stopped_ = true;
        text_.resize(at);
        certain = at;
      } else if (!last) {
        certain = text_.size() - begun_stop();
      }
    }
    std::string taken = text_.substr(0, certain);
    text_.erase(0, certain);
    return taken;
  }
  // A stop text came: nothing follows.
  bool stopped() const { return stopped_; }

 private:
  void decode(bool last) {
    std::size_t at = 0;
    while (at < bytes_.size()) {
      const int length = utf8_length(std::string_view(bytes_).substr(at));
      if (length == 0 && !last) break;
      if (length > 0) {
        text_.append(bytes_, at, static_cast<std::size_t>(length));
        at += static_cast<std::size_t>(length);
      } else {
        text_ += "\xef\xbf\xbd";
        ++at;
      }
    }
    bytes_.erase(0, at);
  }
  std::size_t first_stop() const {
    std::size_t first = std::string::npos;
    for (const auto& stop : stops_) first = std::min(first, text_.find(stop));
    return first;
  }
  // Bytes at the end that a stop text may begin with.
  std::size_t begun_stop() const {
    std::size_t longest = 0;
    for (const auto& stop : stops_) {
      std::size_t length = std::min(stop.size() - 1, text_.size());
      while (length > longest && !text_.ends_with(std::string_view(stop).substr(0, length))) {
        --length;
      }
      longest = std::max(longest, length);
    }
    return longest;
  }

  const Tokenizer* tokenizer_;
  const std::vector<std::string> stops_;
  std::string bytes_;  // not decoded yet
  std::string text_;   // decoded, not taken yet
  bool stopped_ = false;
};

}  // namespace server
