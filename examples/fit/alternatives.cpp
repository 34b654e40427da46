#include "alternatives.hpp"

#include <algorithm>

namespace fit {

namespace {

using namespace mais;
using namespace mais::files;

class Search {
 public:
  Search(const Subject& subject, const Report& report, const Options& options)
      : subject_(subject), report_(report), options_(options) {
    step_ = Tokens(
        std::max(report.parallel, std::min(options.chunk, report.context * report.parallel)));
  }

  std::vector<Alternative> run() {
    if (report_.fits) return {};
    less_at_once();
    smaller_state();
    smaller_weights();
    more_devices();
    return std::move(found_);
  }

 private:
  void less_at_once() {
    if (report_.largest_context) {
      found_.push_back({"--context " + std::to_string(*report_.largest_context),
                        "the longest that fits for " + grouped(report_.parallel) + " at once"});
    }
    if (report_.largest_parallel > 0) {
      found_.push_back(
          {"--parallel " + std::to_string(report_.largest_parallel), "the most that fit at once"});
    }
  }

  // Adds the way where it fits as asked, or else with shorter contexts where `partly`.
  bool try_with(const FootprintOptions& with, const std::string& what, bool partly) {
    const ModelFile* file =
        subject_.model.file && !with.weight_type ? &*subject_.model.file : nullptr;
    const Result<Footprint> print = footprint(subject_.model.architecture, with, file);
    if (!print) return false;
    const Bytes needed =
        bytes_needed(print->model, report_.parallel, Tokens(report_.context), step_);
    if (needed <= report_.capacity) {
      found_.push_back({what, "fits as asked"});
      return true;
    }
    const auto most = largest_context(print->model, report_.capacity, report_.parallel,
                                      Tokens(subject_.most_context), step_);
    if (partly && most && (!report_.largest_context || most->count() > *report_.largest_context)) {
      found_.push_back({what, "contexts of up to " + grouped(most->count()) + " tokens"});
    }
    return false;
  }

  void smaller_state() {
    for (const ElementType type : {ElementType::f8_e4m3, ElementType::q8_0, ElementType::q4_0}) {
      if (bits_per_element(type) >= bits_per_element(options_.footprint.kv_type)) continue;
      FootprintOptions with = options_.footprint;
      with.kv_type = type;
      const std::string name = type == ElementType::f8_e4m3 ? "fp8" : std::string(to_string(type));
      if (try_with(with, "--kv-type " + name, true)) return;
    }
  }

  // From the formula: files of that type need not be there.
  void smaller_weights() {
    const double now =
        8.0 * static_cast<double>(subject_.footprint.weights.count()) /
        static_cast<double>(std::max<std::int64_t>(1, subject_.footprint.parameters));
    for (const ElementType type :
         {ElementType::q8_0, ElementType::q6_k, ElementType::q4_k, ElementType::q3_k}) {
      if (bits_per_element(type) >= now) continue;
      FootprintOptions with = options_.footprint;
      with.weight_type = type;
      const std::string what = subject_.model.file
                                   ? "the same model quantised to " + std::string(to_string(type))
                                   : "--weight-type " + std::string(to_string(type));
      if (try_with(with, what, false)) return;
    }
  }

  void more_devices() {
    for (const int more : {2, 4, 8}) {
      if (more <= options_.footprint.tensor_parallel) continue;
      FootprintOptions with = options_.footprint;
      with.tensor_parallel = more;
      if (try_with(with, "--tensor-parallel " + std::to_string(more), false)) return;
    }
  }

  const Subject& subject_;
  const Report& report_;
  const Options& options_;
  Tokens step_;
  std::vector<Alternative> found_;
};

}  // namespace

std::vector<Alternative> find_alternatives(const Subject& subject, const Report& report,
                                           const Options& options) {
  return Search(subject, report, options).run();
}

}  // namespace fit
