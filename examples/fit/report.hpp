// Whether a model fits a machine, and what follows: everything that is shown, as plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mais/core/variants.hpp"
#include "mais/files/footprint.hpp"
#include "mais/files/model_folder.hpp"
#include "mais/machine.hpp"
#include "options.hpp"

namespace fit {

enum class Part : std::uint8_t { weights, state, workspace };

// A line of the table: what takes how much of a device.
struct Row {
  Part part = Part::weights;
  std::string name;
  mais::Bytes bytes;
};

struct Speed {
  double ttft_s = 0;             // of one prompt, alone
  double tpot_s = 0;             // of one request, alone
  double tpot_parallel_s = 0;    // of each of `parallel`
  double tokens_per_second = 0;  // of all of them together
  double batch_s = 0;  // of models that answer a batch at once; the others above are 0 then
  std::string bound;   // "memory bandwidth" or "compute"
};

// Another way to run it that fits.
struct Alternative {
  std::string what;     // "--kv-type q8_0"
  std::string outcome;  // "contexts of up to 65,536 tokens"
};

struct Report {
  std::string machine, device;
  mais::Bytes capacity;
  int devices = 1;
  std::int64_t context = 0, parallel = 1, prompt = 0;
  std::vector<Row> rows;
  mais::Bytes needed;
  bool fits = false;
  std::optional<std::int64_t> largest_context;  // with `parallel` requests; none: none fits
  std::int64_t largest_parallel = 0;            // with `context`
  std::optional<Speed> speed;                   // none: the machine's rates are not known
  std::optional<double> load_s;                 // over the machine's link to the device
  std::vector<Alternative> alternatives;
  std::optional<mais::core::Split> split;  // where there is more than one memory, or bounds
  std::vector<std::string> spaces;         // names, by SpaceId
  std::vector<std::string> layers;         // names of the split's
  std::string no_split;                    // why there is none; empty: nobody asked
  std::string missed;                      // of the bounds; empty: none
  std::vector<Alternative> within;         // what would be within the bounds

  // As asked: in memory, whole or split, and within the bounds.
  bool does() const { return (split || fits) && missed.empty(); }
};

struct Subject {
  mais::files::ModelOnDisk model;
  mais::files::Footprint footprint;
  std::int64_t most_context = 0;  // of the model, or a million where it states none
};

mais::Result<Subject> study(const std::string& model, const Options& options);
// For one device of the machine; as many alike as the options ask for.
mais::Result<Report> judge(const Subject& subject, const mais::Machine& machine,
                           const Options& options);

// "1,234,567".
std::string grouped(std::int64_t number);

}  // namespace fit
