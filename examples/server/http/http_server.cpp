#include "http_server.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <httplib.h>
#include <mutex>
#include <poll.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "connections.hpp"

namespace server {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Waits until `events` come or the time is over; false then.
bool wait_for(int socket, short events, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left.count() <= 0) return false;
    pollfd one{.fd = socket, .events = events, .revents = 0};
    const int ready =
        ::poll(&one, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// A connection as the parser sees it: reads and writes with deadlines and bounds.
class Connection final : public httplib::Stream, public HttpClient {
 public:
  Connection(int fd, const HttpServerOptions& options, Connections& all)
      : socket_(fd), options_(options), all_(all) {
    all_.add(socket_);
  }
  ~Connection() override {
    all_.remove(socket_);
    ::shutdown(socket_, SHUT_WR);
    linger();
    ::close(socket_);
  }

  // False: there is no next call.
  bool await_call() {
    if (!all_.waits_for_client(socket_, true)) return false;
    if (next_ == end_ && !wait_for_client(Clock::now() + options_.idle)) return false;
    receive_until_ = Clock::now() + options_.receive;
    // Headers, chunk sizes and the like come on top of the body.
    allowed_ = 2 * options_.max_body + (std::size_t{64} << 10);
    fault_.reset();
    return true;
  }
  // The call is here in whole, and its reply is being made. False: the connection was ended.
  bool has_call() { return all_.waits_for_client(socket_, false); }
  // Something of the call was left unread: nothing can follow.
  void close_afterwards() { close_ = true; }
  bool closes() const { return close_; }
  // Why a call was not received: a status, or none when that is for the parser to say.
  std::optional<int> fault() const { return fault_; }

  // Also true for clients that close their sending side alone and go on reading; nobody's does.
  bool gone() const override {
    pollfd one{.fd = socket_, .events = POLLRDHUP, .revents = 0};
    return ::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

  bool is_readable() const override { return next_ < end_ || !close_; }
  bool is_writable() const override { return !close_ && !failed_; }
  ssize_t read(char* to, size_t size) override {
    if (next_ == end_ && !receive()) {
      close_afterwards();
      return -1;
    }
    const std::size_t count = std::min(size, end_ - next_);
    std::copy_n(buffer_.data() + next_, count, to);
    next_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    const auto until = Clock::now() + options_.send;
    for (size_t sent = 0; sent < size;) {
      const ssize_t now = ::send(socket_, from + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (now > 0) {
        sent += static_cast<size_t>(now);
      } else if ((now < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ||
                 !wait_for(socket_, POLLOUT, until)) {
        failed_ = true;
        close_afterwards();
        return -1;
      }
    }
    return static_cast<ssize_t>(size);
  }
  using httplib::Stream::write;
  void get_remote_ip_and_port(std::string& ip, int& port) const override { nowhere(ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { nowhere(ip, port); }
  socket_t socket() const override { return socket_; }

 private:
  static void nowhere(std::string& ip, int& port) {
    ip.clear();
    port = 0;
  }
  // Until it says something; while others wait for a place, for a quarter of a second only.
  bool wait_for_client(Clock::time_point until) {
    constexpr milliseconds kGrace{250};
    for (;;) {
      if (wait_for(socket_, POLLIN, std::min(until, Clock::now() + kGrace))) return true;
      if (Clock::now() >= until || all_.waiting > 0) return false;
    }
  }
  bool receive() {
    if (allowed_ == 0) {
      fault_ = 413;
      return false;
    }
    for (;;) {
      if (!wait_for_client(receive_until_)) {
        fault_ = 408;
        return false;
      }
      const ssize_t came = ::recv(socket_, buffer_.data(), std::min(buffer_.size(), allowed_), 0);
      if (came < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (came <= 0) return false;
      next_ = 0;
      end_ = static_cast<std::size_t>(came);
      allowed_ -= end_;
      return true;
    }
  }
  // Takes in what the client is still sending, so that the reply is not lost to a reset; for a
  // second and four megabytes at most.
  void linger() {
    if (!close_ || failed_) return;
    const auto until = Clock::now() + std::chrono::seconds(1);
    std::size_t left = std::size_t{4} << 20;
    while (left > 0 && wait_for(socket_, POLLIN, until)) {
      const ssize_t came = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (came <= 0) return;
      left -= std::min(left, static_cast<std::size_t>(came));
    }
  }

  const int socket_;
  const HttpServerOptions& options_;
  Connections& all_;
  std::array<char, 8192> buffer_;
  std::size_t next_ = 0, end_ = 0;
  std::size_t allowed_ = 0;  // bytes that this call may still send
  Clock::time_point receive_until_{};
  std::optional<int> fault_{};
  bool close_ = false;
  bool failed_ = false;
};

// The connection that this thread serves. The parser hands its callbacks requests alone.
thread_local Connection* served = nullptr;
// This thread has a connection that there is no place for.
thread_local bool turning_away = false;

// A thread for each connection, begun when one is needed.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  ConnectionThreads(std::size_t most, Connections& all) : most_(most), all_(all) {}

  void enqueue(std::function<void()> connection) override {
    std::unique_lock lock(mutex_);
    const bool begins = idle_ <= waiting_.size() && threads_.size() < most_;
    const bool full = idle_ <= waiting_.size() && !begins;
    if (full && (waiting_.size() >= kMostWaiting || !all_.any_silent())) {
      lock.unlock();
      turning_away = true;
      connection();
      turning_away = false;
      return;
    }
    waiting_.push_back(std::move(connection));
    if (full) ++all_.waiting;  // no thread is free for it: the silent make room
    if (begins) threads_.emplace_back([this] { work(); });
    came_.notify_one();
  }
  void shutdown() override {
    {
      const std::scoped_lock lock(mutex_);
      over_ = true;
    }
    came_.notify_all();
    all_.end_all_silent();
    for (auto& thread : threads_) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      came_.wait(lock, [&] { return over_ || !waiting_.empty(); });
      --idle_;
      if (waiting_.empty()) return;
      const auto connection = std::move(waiting_.front());
      waiting_.pop_front();
      all_.waiting = std::min(all_.waiting.load(), waiting_.size());
      lock.unlock();
      connection();
      lock.lock();
    }
  }

  static constexpr std::size_t kMostWaiting = 1024;

  const std::size_t most_;
  Connections& all_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable came_;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool over_ = false;
};

HttpCall call_of(const httplib::Request& request) {
  return {.method = request.method,
          .path = request.path,
          .header = [&request](std::string_view name) -> std::optional<std::string> {
            const std::string key(name);
            if (!request.has_header(key)) return std::nullopt;
            return request.get_header_value(key);
          },
          .body = {}};
}

void fill(httplib::Response& response, HttpReply reply) {
  response.status = reply.status;
  for (const auto& [name, value] : reply.headers) response.set_header(name, value);
  if (!reply.pieces) {
    response.set_content(std::move(reply.body), reply.content_type);
    return;
  }
  const auto pieces = std::make_shared<decltype(reply.pieces)>(std::move(reply.pieces));
  response.set_chunked_content_provider(reply.content_type,
                                        [pieces](size_t, httplib::DataSink& sink) {
                                          const auto piece = (*pieces)();
                                          if (piece)
                                            return sink.write(piece->data(), piece->size());
                                          sink.done();
                                          return true;
                                        });
}

// The parser, over our connections.
class Parser final : public httplib::Server {
 public:
  Parser(const HttpServerOptions& options, Connections& all) : options_(options), all_(all) {}

  // More may wait to be accepted than the library lets.
  void widen_backlog() { ::listen(svr_sock_, 1024); }

 private:
  bool process_and_close_socket(socket_t socket) override {
    if (turning_away) return turn_away(socket);
    Connection connection(socket, options_, all_);
    served = &connection;
    while (connection.await_call()) {
      bool closed = false;
      if (!process_request(connection, false, closed, nullptr) || closed || connection.closes()) {
        break;
      }
    }
    served = nullptr;
    return true;
  }
  // By the thread that accepts: nothing here waits.
  static bool turn_away(socket_t socket) {
    constexpr std::string_view kBody =
        R"({"error":{"message":"Too many connections.","type":"server_error","param":null,)"
        R"("code":"too_many_connections"}})";
    const std::string reply =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: " +
        std::to_string(kBody.size()) + "\r\n\r\n" + std::string(kBody);
    std::array<char, 8192> said;
    // What is unread when a socket is closed makes the client lose the reply.
    static_cast<void>(::recv(socket, said.data(), said.size(), MSG_DONTWAIT));
    static_cast<void>(::send(socket, reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    ::shutdown(socket, SHUT_WR);
    static_cast<void>(::recv(socket, said.data(), said.size(), MSG_DONTWAIT));
    ::close(socket);
    return true;
  }

  const HttpServerOptions& options_;
  Connections& all_;
};

}  // namespace

class HttpServer::Implementation {
 public:
  Implementation(HttpServerOptions options, HttpHandlers handlers)
      : options_(std::move(options)), handlers_(std::move(handlers)), parser_(options_, all_) {
    parser_.new_task_queue = [this] {
      return new ConnectionThreads(options_.max_connections, all_);
    };
    parser_.set_tcp_nodelay(true);
    parser_.set_payload_max_length(options_.max_body);
    parser_.set_pre_routing_handler(
        [this](const auto& request, auto& response) { return before_body(request, response); });
    parser_.set_expect_100_continue_handler([this](const auto& request, auto& response) {
      const bool large = says_too_large(request);
      if (large) response.status = 413;  // the error handler does the rest
      return large ? 413 : 100;
    });
    const auto answer = [this](const httplib::Request& request, httplib::Response& response) {
      if (!served->has_call()) return;
      if (request.body.size() > options_.max_body) {  // in chunks, which nobody has counted
        response.status = 413;
        return;
      }
      HttpCall call = call_of(request);
      call.body = request.body;
      fill(response, handlers_.answer(call, *served));
    };
    for (const char* path : {"/v1/completions", "/v1/chat/completions", "/v1/embeddings"}) {
      parser_.Post(path, answer);
    }
    parser_.set_error_handler([this](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty()) return;
      served->close_afterwards();
      response.set_header("Connection", "close");
      fill(response, handlers_.fault(served->fault().value_or(response.status)));
    });
    parser_.set_exception_handler([this](const auto&, auto& response, std::exception_ptr) {
      fill(response, handlers_.fault(500));
    });
  }

  mais::Result<void> start() {
    const std::string where = options_.host + ":" + std::to_string(options_.port);
    port_ = options_.port;
    if (options_.port == 0) {
      port_ = parser_.bind_to_any_port(options_.host);
    } else if (!parser_.bind_to_port(options_.host, options_.port)) {
      port_ = -1;
    }
    if (port_ <= 0) {
      return mais::fail(mais::ErrorCode::io_error,
                        where + " cannot be listened to: it is taken, or no address of ours");
    }
    parser_.widen_backlog();
    thread_ = std::thread([this] { parser_.listen_after_bind(); });
    while (!parser_.is_running()) std::this_thread::sleep_for(milliseconds(1));
    return {};
  }
  void stop() {
    if (!thread_.joinable()) return;
    parser_.stop();
    thread_.join();
  }
  int port() const { return port_; }

 private:
  using Routing = httplib::Server::HandlerResponse;

  // What is no number reads as 0 or as one beyond all.
  bool says_too_large(const httplib::Request& request) const {
    return request.get_header_value<std::uint64_t>("Content-Length") > options_.max_body;
  }

  Routing before_body(const httplib::Request& request, httplib::Response& response) {
    auto reply = handlers_.at_once(call_of(request));
    // The parser would read a body that is too large, and throw it away.
    if (!reply && says_too_large(request)) reply = handlers_.fault(413);
    if (!reply) return Routing::Unhandled;
    if (request.has_header("Content-Length") || request.has_header("Transfer-Encoding")) {
      served->close_afterwards();
      response.set_header("Connection", "close");
    }
    if (!served->has_call()) return Routing::Handled;
    fill(response, std::move(*reply));
    return Routing::Handled;
  }

  const HttpServerOptions options_;
  const HttpHandlers handlers_;
  Connections all_;
  Parser parser_;
  std::thread thread_;
  int port_ = -1;
};

mais::Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options,
                                                            HttpHandlers handlers) {
  auto made = std::make_unique<Implementation>(std::move(options), std::move(handlers));
  if (auto started = made->start(); !started) {
    return tl::unexpected<mais::Error>(std::move(started.error()));
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(made)));
}

HttpServer::HttpServer(std::unique_ptr<Implementation> implementation) noexcept
    : implementation_(std::move(implementation)) {}
HttpServer::~HttpServer() {
  stop();
}
int HttpServer::port() const {
  return implementation_->port();
}
void HttpServer::stop() {
  implementation_->stop();
}

}  // namespace server
