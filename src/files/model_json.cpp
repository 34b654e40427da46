#include "mais/files/model_json.hpp"

#include "files/describe.hpp"

namespace mais::files {

namespace {

const auto kDescribeOne = [](auto& archive, Model& model) { describe(archive, model); };
const auto kDescribeAll = [](auto& archive, std::vector<Model>& models) {
  archive.list("models", models, kDescribeOne);
};

std::vector<Fault> validate_all(const std::vector<Model>& models) {
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < models.size(); ++i) {
    for (Fault& fault : validate(models[i])) {
      fault.path = "models[" + std::to_string(i) + "]." + fault.path;
      faults.push_back(std::move(fault));
    }
  }
  return faults;
}

}  // namespace

Result<Model> parse_model(std::string_view json, std::string_view origin) {
  return read_document<Model>(json, origin, kDescribeOne,
                              [](const Model& model) { return validate(model); });
}

Result<std::vector<Model>> parse_models(std::string_view json, std::string_view origin) {
  return read_document<std::vector<Model>>(json, origin, kDescribeAll, validate_all);
}

std::string to_json(const Model& model) {
  return write_document(model, kDescribeOne);
}

std::string to_json(const std::vector<Model>& models) {
  return write_document(models, kDescribeAll);
}

}  // namespace mais::files
