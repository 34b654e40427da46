// Help that shows what kind of value an option takes, without the checks on it.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace example {

class PlainFormatter : public CLI::Formatter {
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    return type.empty() ? type : " " + type.substr(0, type.find(':'));
  }
};

}  // namespace example
