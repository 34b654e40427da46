// A call over HTTP and its reply, apart from the library that carries them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace server {

struct HttpCall {
  std::string method{};
  std::string path{};
  // The value of a header, by its name in lower case.
  std::function<std::optional<std::string>(std::string_view)> header{};
  std::string body{};
};

// The client of a call. From the thread that serves it.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // It closed its connection, or will not read on: nobody waits for the reply.
  virtual bool gone() const = 0;

 protected:
  HttpClient() = default;
  HttpClient(const HttpClient&) = default;
  HttpClient& operator=(const HttpClient&) = default;
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  // In place of a body: pieces that are sent as they come; none when it is done. Destroying it ends
  // what it waits for.
  std::function<std::optional<std::string>()> pieces{};
};

}  // namespace server
