#include "report.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "alternatives.hpp"
#include "mais/core/cost.hpp"
#include "splits.hpp"

namespace fit {

namespace {

using namespace mais;
using namespace mais::files;

constexpr std::int64_t kNoLimit = 1 << 20;

Result<std::optional<LoraAdapter>> read_adapter(const std::string& path) {
  if (path.empty()) return std::optional<LoraAdapter>();
  std::ifstream file(path, std::ios::binary);
  if (!file) return mais::fail(ErrorCode::io_error, path + ": cannot be opened");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Result<LoraAdapter> adapter = parse_adapter_config(text, path);
  if (!adapter) return tl::unexpected<Error>(adapter.error());
  return std::optional(std::move(*adapter));
}

// The first GPU, else the first device.
std::optional<std::size_t> device_of(const Machine& machine) {
  for (std::size_t i = 0; i < machine.devices.size(); ++i) {
    if (machine.devices[i].kind == DeviceKind::gpu) return i;
  }
  return machine.devices.empty() ? std::nullopt : std::optional<std::size_t>(0);
}

std::vector<Row> rows_of(const Footprint& footprint, const Report& report, Tokens step) {
  const Model& model = footprint.model;
  std::vector<Row> rows;
  // A device's part of each role is as its part of the whole.
  const double part = footprint.weights > Bytes(0)
                          ? static_cast<double>(model.weights.count()) /
                                static_cast<double>(footprint.weights.count())
                          : 0;
  Bytes left = model.weights;
  std::size_t largest = 0;
  for (std::size_t i = 0; i < kWeightRoles; ++i) {
    if (footprint.roles[i] <= Bytes(0)) continue;
    const Bytes bytes = footprint.roles[i] * part;
    rows.push_back({Part::weights, std::string(to_string(static_cast<WeightRole>(i))), bytes});
    left -= bytes;
    if (bytes > rows[largest].bytes) largest = rows.size() - 1;
  }
  if (footprint.adapters > Bytes(0)) {
    const Bytes bytes = footprint.adapters * part;
    rows.push_back({Part::weights, "LoRA adapters", bytes});
    left -= bytes;
  }
  if (!rows.empty()) rows[largest].bytes += left;  // what rounding left over
  for (const StateGroup& group : model.state) {
    Model alone;
    alone.state.push_back(group);
    rows.push_back(
        {Part::state, group.name,
         alone.state_bytes(Tokens(report.context), TokensPerBlock(16)) * report.parallel});
  }
  const Tokens all(report.context * report.parallel);
  const bool whole = model.batching == Batching::request;
  rows.push_back({Part::workspace, "activations, logits",
                  model.workspace.bytes(whole ? all : step, report.parallel, all)});
  return rows;
}

// Bytes of state that a token at the end of `context` reads, for each token of it: less than the
// whole where layers have windows.
BytesPerToken read_per_token(const Model& model, std::int64_t context) {
  double bytes = 0;
  for (const StateGroup& group : model.state) {
    const std::int64_t seen = group.window ? std::min(context, group.window->count()) : context;
    bytes += static_cast<double>(group.per_token.count()) * static_cast<double>(seen) +
             static_cast<double>(group.fixed.count());
  }
  return BytesPerToken(static_cast<std::int64_t>(bytes / static_cast<double>(context)));
}

Speed speed_of(const Footprint& footprint, const Report& report, const Device& device,
               const Space& space, const Options& options) {
  const auto cost_with = [&](double tokens) {
    StepCost cost = footprint.model.cost;
    cost.weights_read = footprint.weights_read(tokens);
    cost.state_read = read_per_token(footprint.model, report.context);
    return core::CostModel::of(cost, device.compute, space.bandwidth);
  };
  Speed speed;
  if (footprint.model.batching == Batching::request) {
    const double length = static_cast<double>(report.context);
    const double tokens = length * static_cast<double>(report.parallel);
    const core::CostModel cost = cost_with(tokens);
    // All tokens of an item attend to each other.
    speed.batch_s = cost.seconds({.tokens = tokens, .pairs = tokens * length, .context = 0}) *
                    options.footprint.pipeline_parallel;
    speed.tokens_per_second = tokens / speed.batch_s;
    speed.bound = cost.token_s * tokens > cost.weights_s ? "compute" : "memory bandwidth";
    return speed;
  }
  for (std::int64_t done = 0; done < report.prompt; done += options.chunk) {
    const auto chunk = static_cast<double>(std::min(options.chunk, report.prompt - done));
    speed.ttft_s += cost_with(chunk).alone(chunk, static_cast<double>(done));
  }
  const double cached = static_cast<double>(report.context - 1);
  speed.tpot_s = cost_with(1).alone(1, cached);
  core::StepWork work;
  const auto parallel = static_cast<double>(report.parallel);
  for (std::int64_t i = 0; i < std::min<std::int64_t>(report.parallel, 1 << 20); ++i) {
    work.add(cached, 1);
  }
  const core::CostModel cost = cost_with(parallel);
  // A token passes the stages of a pipeline one after the other.
  const double stages = options.footprint.pipeline_parallel;
  speed.tpot_parallel_s = cost.seconds(work) * stages;
  speed.tpot_s *= stages;
  speed.ttft_s *= stages;
  speed.tokens_per_second = parallel / speed.tpot_parallel_s;
  speed.bound = cost.token_s * work.tokens > cost.weights_s ? "compute" : "memory bandwidth";
  return speed;
}

}  // namespace

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3) {
    text.insert(static_cast<std::size_t>(i), ",");
  }
  return text;
}

Result<Subject> study(const std::string& name, const Options& options) {
  Result<ModelOnDisk> model = open_model(name, {.guess = options.guess});
  if (!model) return tl::unexpected<Error>(model.error());
  FootprintOptions with = options.footprint;
  const auto adapter = read_adapter(options.adapter);
  if (!adapter) return tl::unexpected<Error>(adapter.error());
  with.adapter = *adapter;
  Result<Footprint> print =
      footprint(model->architecture, with, model->file ? &*model->file : nullptr);
  if (!print) return tl::unexpected<Error>(print.error());
  if (model->architecture.name.empty()) {  // then it is called as its file or folder
    const std::filesystem::path path = std::filesystem::absolute(name).lexically_normal();
    const std::filesystem::path last = path.has_filename() ? path : path.parent_path();
    print->model.name = last.filename() == "config.json" ? last.parent_path().filename().string()
                                                         : last.stem().string();
  }
  const std::int64_t most = model->architecture.max_context.value_or(Tokens(kNoLimit)).count();
  return Subject{std::move(*model), std::move(*print), most};
}

Result<Report> judge(const Subject& subject, const Machine& machine, const Options& options) {
  const std::optional<std::size_t> index = device_of(machine);
  if (!index) {
    return mais::fail(ErrorCode::invalid_argument,
                      "the machine has no device; one that computes is needed");
  }
  const Device& device = machine.devices[*index];
  const Space& space = machine.spaces[device.space.value()];
  const Model& model = subject.footprint.model;
  Report report;
  report.machine = machine.name;
  report.device = device.name;
  report.capacity = space.capacity;
  report.devices = options.footprint.tensor_parallel * options.footprint.pipeline_parallel;
  report.context = options.context.value_or(std::min<std::int64_t>(8192, subject.most_context));
  report.parallel = options.parallel;
  report.prompt = std::min(report.context,
                           options.prompt.value_or(std::min<std::int64_t>(1024, report.context)));
  const Tokens step(
      std::max(report.parallel, std::min(options.chunk, report.context * report.parallel)));
  report.rows = rows_of(subject.footprint, report, step);
  report.needed = bytes_needed(model, report.parallel, Tokens(report.context), step);
  report.fits = report.needed <= report.capacity;
  if (const auto most = largest_context(model, report.capacity, report.parallel,
                                        Tokens(subject.most_context), step)) {
    report.largest_context = most->count();
  }
  report.largest_parallel =
      largest_concurrency(model, report.capacity, Tokens(report.context), step);
  if (device.compute.value > 0 && space.bandwidth.value > 0) {
    report.speed = speed_of(subject.footprint, report, device, space, options);
  }
  if (const auto host = machine.first_space(SpaceKind::host)) {
    const Link* link = machine.link(*host, device.space);
    if (link != nullptr && link->bandwidth.value > 0) {
      report.load_s = to_seconds(model.weights / link->bandwidth);
    }
  }
  for (const Space& each : machine.spaces) report.spaces.push_back(each.name);
  add_split(subject, machine, options, report);
  report.alternatives = find_alternatives(subject, report, options);
  return report;
}

}  // namespace fit
