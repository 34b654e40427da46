#include "splits.hpp"

#include <algorithm>

#include "mais/files/layers_of.hpp"

namespace fit {

namespace {

using namespace mais;
using namespace mais::files;

Result<core::LayeredModel> layers(const Subject& subject, const FootprintOptions& with) {
  const ModelFile* file = subject.model.file && !with.weight_type ? &*subject.model.file : nullptr;
  Result<core::LayeredModel> model = layers_of(subject.model.architecture, with, file);
  if (model) model->name = subject.footprint.model.name;
  return model;
}

core::SplitOptions split_options(std::int64_t context, const Options& options) {
  return {.parallel = options.parallel,
          .context = Tokens(context),
          .prompt = Tokens(std::min(context, options.prompt.value_or(1024))),
          .chunk = Tokens(options.chunk)};
}

std::int64_t context_of(const Subject& subject, const Options& options) {
  return options.context.value_or(std::min<std::int64_t>(8192, subject.most_context));
}

double bits_of(const Subject& subject) {
  const Footprint& print = subject.footprint;
  return 8.0 * static_cast<double>((print.weights - print.adapters).count()) /
         static_cast<double>(std::max<std::int64_t>(1, print.parameters));
}

std::string rates(const core::SplitSpeed& speed, std::int64_t parallel) {
  const auto whole = [](double number) { return std::to_string(static_cast<long>(number + 0.5)); };
  const auto milliseconds = [&](double seconds) { return whole(seconds * 1e3) + " ms"; };
  return "first token after " + milliseconds(speed.ttft_s) + ", then one every " +
         milliseconds(speed.step_s) + (parallel > 1 ? " each" : "");
}

// Ways that cost quality or service least first, for bounds that are missed.
class Ways {
 public:
  Ways(const Subject& subject, const Machine& machine, const Options& options, Report& report)
      : subject_(subject), machine_(machine), options_(options), report_(report) {}

  void find() {
    for (std::int64_t parallel = options_.parallel / 2; parallel > 0; parallel /= 2) {
      Options with = options_;
      with.parallel = parallel;
      if (within(with, "--parallel " + std::to_string(parallel))) break;
    }
    for (std::int64_t context = report_.context / 2; context >= 1024; context /= 2) {
      Options with = options_;
      with.context = context;
      if (within(with, "--context " + std::to_string(context))) break;
    }
    for (const auto& [type, name] :
         {std::pair(ElementType::q8_0, "q8_0"), std::pair(ElementType::q4_0, "q4_0")}) {
      if (bits_per_element(type) >= bits_per_element(options_.footprint.kv_type)) continue;
      Options with = options_;
      with.footprint.kv_type = type;
      if (within(with, std::string("--kv-type ") + name)) break;
    }
    for (const ElementType type :
         {ElementType::q8_0, ElementType::q6_k, ElementType::q4_k, ElementType::q3_k}) {
      if (bits_per_element(type) >= bits_of(subject_)) continue;
      Options with = options_;
      with.footprint.weight_type = type;
      const std::string name{to_string(type)};
      if (within(with, subject_.model.file ? "the same model quantised to " + name
                                           : "--weight-type " + name)) {
        break;
      }
    }
  }

 private:
  bool within(const Options& with, std::string what) {
    const Result<core::LayeredModel> model = layers(subject_, with.footprint);
    if (!model) return false;
    core::SplitOptions asked = split_options(context_of(subject_, with), with);
    asked.more = Bytes(0);
    const Result<core::Split> split = core::split_within(*model, machine_, asked, options_.slo);
    if (!split || !core::missed(split->speed, options_.slo).empty()) return false;
    report_.within.push_back({std::move(what), rates(split->speed, with.parallel)});
    return true;
  }

  const Subject& subject_;
  const Machine& machine_;
  const Options& options_;
  Report& report_;
};

}  // namespace

void add_split(const Subject& subject, const Machine& machine, const Options& options,
               Report& report) {
  const bool bounds = options.slo.ttft || options.slo.tpot;
  const bool several = machine.spaces.size() > 1;
  if (subject.footprint.model.batching == Batching::request || (!several && !bounds)) return;
  if (report.devices > 1) return;  // a division was asked for
  const Result<core::LayeredModel> model = layers(subject, options.footprint);
  if (!model) {
    report.no_split = model.error().message;
    return;
  }
  const Result<core::Split> split =
      core::split_within(*model, machine, split_options(report.context, options), options.slo);
  if (split) {
    report.split = *split;
    report.missed = core::missed(split->speed, options.slo);
    for (const core::ModelLayer& layer : model->layers) report.layers.push_back(layer.name);
  } else {
    report.no_split = split.error().message;
    if (bounds) report.missed = "times are not known";
  }
  if (bounds && (!split || !report.missed.empty())) {
    Ways(subject, machine, options, report).find();
  }
}

Result<std::vector<Choice>> choose(const std::vector<Subject>& subjects, const Machine& machine,
                                   const Options& options) {
  std::vector<core::Variant> variants;
  std::int64_t context = 0;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const Subject& subject = subjects[i];
    const Architecture &first = subjects[0].model.architecture,
                       &architecture = subject.model.architecture;
    if (architecture.main_tower()->layers.size() != first.main_tower()->layers.size() ||
        architecture.main_tower()->width != first.main_tower()->width) {
      return mais::fail(ErrorCode::invalid_argument,
                        options.models[i] + " is another model than " + options.models[0] +
                            ": several MODELs are quantisations of one");
    }
    Result<core::LayeredModel> model = layers(subject, options.footprint);
    if (!model) return tl::unexpected<Error>(model.error());
    model->name = options.models[i];
    variants.push_back({options.models[i], bits_of(subject), std::move(*model)});
    context = std::max(context, context_of(subject, options));
  }
  core::SplitOptions asked = split_options(context, options);
  asked.more = Bytes(0);
  const Result<core::VariantChoice> choice =
      core::choose_variant(variants, machine, asked, options.slo);
  if (!choice) return tl::unexpected<Error>(choice.error());
  std::vector<Choice> rows;
  for (const core::VariantVerdict& verdict : choice->verdicts) {
    Choice row{.name = options.models[verdict.variant],
               .bits = variants[verdict.variant].quality,
               .weights = subjects[verdict.variant].footprint.weights,
               .chosen = choice->chosen == verdict.variant,
               .speed = {},
               .why_not = verdict.why_not};
    if (verdict.split) row.speed = verdict.split->speed;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace fit
