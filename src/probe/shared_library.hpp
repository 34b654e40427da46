// A library loaded at run time; closed when this goes.
#pragma once

#include <dlfcn.h>
#include <string>
#include <utility>

namespace mais::probing {

class SharedLibrary {
 public:
  SharedLibrary() noexcept = default;
  explicit SharedLibrary(const std::string& name) noexcept
      : handle_(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) {
      const char* const said = ::dlerror();
      why_ = said == nullptr ? name + " cannot be loaded" : said;
    }
  }
  SharedLibrary(SharedLibrary&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), why_(std::move(other.why_)) {}
  SharedLibrary& operator=(SharedLibrary&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(why_, other.why_);
    return *this;
  }
  ~SharedLibrary() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  const std::string& why_not() const noexcept { return why_; }

  // Puts the address of a symbol into a function pointer; false when it is not there.
  template <class Function>
  bool find(const char* symbol, Function& function) const noexcept {
    function = reinterpret_cast<Function>(::dlsym(handle_, symbol));
    return function != nullptr;
  }

 private:
  void* handle_ = nullptr;
  std::string why_;
};

}  // namespace mais::probing
