// Shows what this machine is; see --help.
#include <fstream>
#include <iostream>
#include <iterator>

#include "../write_file.hpp"
#include "live_view.hpp"
#include "mais/probe/probe.hpp"
#include "options.hpp"

namespace {

using namespace mais;
using namespace mais::probing;

int fail_with(const std::string& message) {
  std::cerr << "inspect: " << message << '\n';
  return 1;
}

Result<MachineRecord> load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::io_error, path + ": cannot be opened");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse_record(text, path);
}

// The machine, or the record of one, as readings; written to a file where that was asked for.
Result<Readings> look(const inspect::Options& options) {
  if (options.from) {
    const Result<MachineRecord> record = load(*options.from);
    if (!record) return tl::unexpected<Error>(record.error());
    return readings_of(*record);
  }
  if (!options.record) return read_machine(options.probe);
  const Result<MachineRecord> record = record_machine(options.probe);
  if (!record) return tl::unexpected<Error>(record.error());
  if (!example::write_file(*options.record, to_text(*record))) {
    return fail(ErrorCode::io_error, *options.record + ": cannot be written");
  }
  return readings_of(*record);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = inspect::read_options(argc, argv);
  if (!options) return options.error().code;
  if (options->probe.measure && !options->json) {
    std::cerr
        << "Measuring: some seconds; figures are those of a machine that is otherwise idle.\n";
  }
  const Result<Readings> readings = look(*options);
  if (!readings) return fail_with(readings.error().message);
  const MachineReport report = assemble(*readings);
  if (options->json) {
    std::cout << to_json(report);
    return 0;
  }
  std::cout << to_text(report);
  if (options->record) std::cout << "Recorded in " << *options->record << '\n';
  if (!options->watch) return 0;
  std::cout << '\n';
  return inspect::show_live(report, *options);
}
