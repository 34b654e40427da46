// What every command does with its arguments: shows help, and tells what is wrong in one line.
#pragma once

#include <iostream>
#include <optional>
#include <string_view>

#include <CLI/CLI.hpp>

namespace example {

// Tells what is wrong with the arguments of `program`, and returns the status it ends with.
inline int wrong_usage(std::string_view program, std::string_view message) {
  std::cerr << program << ": " << message << "\nTry " << program << " --help.\n";
  return 2;
}

// Reads the arguments into the options of `app`. The status to end with after --help or a fault.
inline std::optional<int> read_arguments(CLI::App& app, std::string_view program, int argc,
                                         char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    return wrong_usage(program, error.what());
  }
  return std::nullopt;
}

}  // namespace example
