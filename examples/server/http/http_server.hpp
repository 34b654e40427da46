// Carries calls over HTTP/1.1 (cpp-httplib parses them): one thread for each connection, as many
// connections as were allowed, and a deadline for all that a client does.
//
// When every place is taken, a new connection waits for one, and those that have been silent for a
// quarter of a second, between two calls or inside of one that they have not sent in whole, give
// theirs up; where all wait for their replies, it is told 503 and closed. So connections that say
// nothing keep nobody out for long.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http_exchange.hpp"
#include "mais/result.hpp"

namespace server {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any that is free
  std::size_t max_connections = 256;
  std::size_t max_body = std::size_t{1} << 20;  // bytes; a larger one is 413
  std::chrono::milliseconds idle{5000};         // between calls
  std::chrono::milliseconds receive{10000};     // from the first byte of a call to its last
  std::chrono::milliseconds send{10000};        // a piece of a reply, until the client has taken it
};

struct HttpHandlers {
  // Before the body is read; a reply ends the call.
  std::function<std::optional<HttpReply>(const HttpCall&)> at_once{};
  // The rest. The client lives as long as the reply.
  std::function<HttpReply(const HttpCall&, const HttpClient&)> answer{};
  // What goes wrong in the protocol itself (400, 413, 414, ...), in the form of the interface.
  std::function<HttpReply(int status)> fault{};
};

// Threads: handlers are called from many; members are for the owner.
class HttpServer {
 public:
  // Listens from now on; io_error when the port is taken or is not ours.
  static mais::Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options,
                                                         HttpHandlers handlers);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  int port() const;
  // Closes the port and every connection that does not wait for a reply, and waits for the others;
  // streams are cut.
  void stop();

 private:
  class Implementation;
  explicit HttpServer(std::unique_ptr<Implementation> implementation) noexcept;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace server
