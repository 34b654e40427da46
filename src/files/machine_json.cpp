#include "mais/files/machine_json.hpp"

#include "files/describe.hpp"

namespace mais::files {

namespace {
const auto kDescribeMachine = [](auto& archive, Machine& machine) { describe(archive, machine); };
}

Result<Machine> parse_machine(std::string_view json, std::string_view origin) {
  return read_document<Machine>(json, origin, kDescribeMachine,
                                [](const Machine& machine) { return validate(machine); });
}

std::string to_json(const Machine& machine) {
  return write_document(machine, kDescribeMachine);
}

}  // namespace mais::files
