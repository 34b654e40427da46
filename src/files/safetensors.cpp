#include "mais/files/safetensors.hpp"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "byte_source.hpp"
#include "json_events.hpp"
#include "tensor_layout.hpp"

namespace mais::files {

namespace {

constexpr std::int64_t kMostHeader = 100'000'000;  // the format's own limit
constexpr std::size_t kMostTensorDimensions = 32;

// The format's names, which are ours but for these.
std::optional<ElementType> type_named(std::string_view name) {
  if (name == "F4") return ElementType::f4;
  if (name == "BOOL") return ElementType::boolean;
  if (name == "C64") return ElementType::complex64;
  const std::optional<ElementType> type = element_type_named(name);
  return type && !is_block_quantised(*type) ? type : std::nullopt;
}

// Takes the header's events: { "name": { "dtype", "shape", "data_offsets" }, "__metadata__": {} }.
class HeaderEvents : public JsonEvents {
 public:
  HeaderEvents(ModelFile& file, const ReadLimits& limits) : file_(file), limits_(limits) {}

 private:
  enum class Field : std::uint8_t { none, type, shape, offsets };

  bool key(const std::string& name) override {
    if (depth() == 1) {
      if (!names_.insert(name).second) return stop("'" + shown(name) + "' is given twice");
      in_metadata_ = name == "__metadata__";
      if (in_metadata_) return true;
      if (static_cast<std::int64_t>(file_.tensors.size()) >= limits_.tensors) {
        return stop("it has more than " + std::to_string(limits_.tensors) + " tensors");
      }
      file_.tensors.emplace_back().name = name;
      offsets_.clear();
      seen_ = 0;
      return true;
    }
    key_ = name;
    if (in_metadata_) return true;
    field_ = name == "dtype"          ? Field::type
             : name == "shape"        ? Field::shape
             : name == "data_offsets" ? Field::offsets
                                      : Field::none;
    if (field_ == Field::none) return stop(about("has a field '" + shown(name) + "'" + kFields));
    const unsigned bit = 1U << static_cast<unsigned>(field_);
    if ((seen_ & bit) != 0) return stop(about("has '" + name + "' twice"));
    seen_ |= bit;
    return true;
  }
  bool text(const std::string& value) override {
    if (in_metadata_ && depth() == 2) return keep(value);
    if (depth() != 2 || field_ != Field::type) return unexpected("a text");
    const std::optional<ElementType> type = type_named(value);
    if (!type) return stop(about("has the dtype '" + shown(value) + "', which is not known"));
    tensor().type = *type;
    return true;
  }
  bool number(std::int64_t value) override {
    if (in_metadata_ || depth() != 3) return unexpected("a number");
    if (value < 0) return stop(about("has a negative number"));
    if (field_ == Field::offsets) {
      if (offsets_.size() == 2) return stop(about("has more than two data_offsets"));
      offsets_.push_back(value);
      return true;
    }
    if (field_ != Field::shape) return unexpected("a number");
    if (tensor().shape.size() == kMostTensorDimensions)
      return stop(about("has more than 32 dimensions"));
    tensor().shape.push_back(value);
    return true;
  }
  bool other(const char* kind) override { return unexpected(kind); }
  bool open(bool list) override {
    const int level = depth();  // of what was just opened
    if (level == 1) return !list || stop("a header is an object, not a list");
    if (level == 2) return !list || unexpected("a list");
    if (level == 3 && list && !in_metadata_ &&
        (field_ == Field::shape || field_ == Field::offsets)) {
      return true;
    }
    return unexpected(list ? "a list" : "an object");
  }
  bool close() override {
    if (depth() == 1 && !in_metadata_) return finish_tensor();
    return true;
  }

  bool finish_tensor() {
    if (seen_ != 0b1110U || offsets_.size() != 2) {
      return stop(about(std::string("lacks a field") + kFields));
    }
    if (const auto problem = size_tensor(tensor())) return stop(*problem);
    if (offsets_[1] < offsets_[0] || offsets_[1] - offsets_[0] != tensor().bytes.count()) {
      return stop(about("has data_offsets " + std::to_string(offsets_[0]) + " to " +
                        std::to_string(offsets_[1]) + ", but its dtype and shape take " +
                        std::to_string(tensor().bytes.count()) + " bytes"));
    }
    tensor().offset = static_cast<std::uint64_t>(offsets_[0]);
    return true;
  }
  bool keep(const std::string& value) {
    if (static_cast<std::int64_t>(file_.metadata.size()) >= limits_.metadata) {
      return stop("it has more than " + std::to_string(limits_.metadata) + " metadata entries");
    }
    if (static_cast<std::int64_t>(value.size()) > limits_.kept_text.count()) {
      file_.metadata.emplace(key_, OmittedList{1});
    } else {
      file_.metadata.emplace(key_, value);
    }
    return true;
  }
  bool unexpected(const char* kind) {
    if (in_metadata_)
      return stop(std::string("'__metadata__' has ") + kind + "; only texts may be");
    if (file_.tensors.empty()) return stop(std::string("there is ") + kind + " in its place");
    return stop(about(std::string("has ") + kind + " where it must not be" + kFields));
  }
  TensorEntry& tensor() { return file_.tensors.back(); }
  std::string about(const std::string& problem) {
    return "the tensor '" + shown(tensor().name) + "' " + problem;
  }

  static constexpr const char* kFields =
      "; a tensor has \"dtype\" (a text), \"shape\" and \"data_offsets\" (lists of numbers)";
  ModelFile& file_;
  const ReadLimits& limits_;
  std::unordered_set<std::string> names_;
  std::string key_;
  std::vector<std::int64_t> offsets_;
  Field field_ = Field::none;
  unsigned seen_ = 0;  // a bit for each field
  bool in_metadata_ = false;
};

Result<ModelFile> parse(ByteSource& source, const ReadLimits& limits) {
  ByteReader reader(source, 0, source.size());
  const auto length = reader.number<std::uint64_t>("the length of the header");
  const auto most = static_cast<std::uint64_t>(std::min(limits.header.count(), kMostHeader));
  if (!reader.failed() && length > most) {
    reader.refuse(0, "the header is said to have " + std::to_string(length) + " bytes; at most " +
                         std::to_string(most) +
                         " are allowed, so this is not safetensors, or damaged");
  }
  const std::string header = reader.text(length, "the header");
  if (reader.failed()) return tl::unexpected<Error>(reader.error());
  ModelFile file;
  file.format = ModelFormat::safetensors;
  file.parts.push_back({source.name(), Bytes(static_cast<std::int64_t>(source.size()))});
  HeaderEvents events(file, limits);
  if (const auto problem = events.parse(header)) {
    return source.wrong(8 + problem->offset, problem->text);
  }
  const std::uint64_t begin = 8 + length;
  for (TensorEntry& tensor : file.tensors) tensor.offset += begin;
  if (auto fine = check_layout(file, 0, source, begin, true); !fine) {
    return tl::unexpected<Error>(fine.error());
  }
  return file;
}

// Takes an index's events: { "metadata": {...}, "weight_map": { "tensor": "file" } }.
class IndexEvents : public JsonEvents {
 public:
  explicit IndexEvents(const ReadLimits& limits) : limits_(limits) {}
  std::unordered_map<std::string, std::string> file_of;
  std::vector<std::string> files;  // in the order of the names

 private:
  bool key(const std::string& name) override {
    if (depth() == 1) in_map_ = name == "weight_map";
    tensor_ = name;
    return true;
  }
  bool text(const std::string& value) override {
    if (!in_map_ || depth() != 2) return true;
    if (value.empty() || value.find_first_of("/\\") != std::string::npos || value[0] == '.' ||
        value.find('\0') != std::string::npos) {
      return stop("'" + shown(value) + "' is not the name of a file beside the index");
    }
    if (static_cast<std::int64_t>(file_of.size()) >= limits_.tensors) {
      return stop("it has more than " + std::to_string(limits_.tensors) + " tensors");
    }
    if (!file_of.emplace(tensor_, value).second) {
      return stop("the tensor '" + shown(tensor_) + "' is given twice");
    }
    if (known_.insert(value).second) {
      if (static_cast<std::int64_t>(known_.size()) > limits_.parts) {
        return stop("it names more than " + std::to_string(limits_.parts) + " files");
      }
      files.push_back(value);
    }
    return true;
  }
  bool number(std::int64_t) override { return only_text(); }
  bool other(const char*) override { return only_text(); }
  bool open(bool list) override {
    return (depth() > 1 || !list || stop("an index is an object, not a list")) &&
           (!in_map_ || (depth() == 2 && !list) || only_text());
  }
  bool close() override {
    if (depth() == 1) in_map_ = false;
    return true;
  }
  bool only_text() {
    return !in_map_ || stop("weight_map has '" + shown(tensor_) +
                            "' without the name of a file; \"tensor\": \"file\" is needed");
  }

  const ReadLimits& limits_;
  std::unordered_set<std::string> known_;
  std::string tensor_;
  bool in_map_ = false;
};

Result<ModelFile> read_sharded(const std::string& path, const ReadLimits& limits) {
  auto source = FileSource::open(path);
  if (!source) return tl::unexpected<Error>(source.error());
  ByteReader reader(**source, 0, (*source)->size());
  if ((*source)->size() >
      static_cast<std::uint64_t>(std::min(limits.header.count(), kMostHeader))) {
    return wrong_file(path, "an index has at most 100 MB");
  }
  const std::string text = reader.text((*source)->size(), "the index");
  if (reader.failed()) return tl::unexpected<Error>(reader.error());
  IndexEvents events(limits);
  if (const auto problem = events.parse(text)) {
    return (*source)->wrong(problem->offset, problem->text);
  }
  if (events.file_of.empty()) {
    return wrong_file(path, "it has no \"weight_map\" with the file of each tensor");
  }
  std::sort(events.files.begin(), events.files.end());
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  ModelFile whole;
  whole.format = ModelFormat::safetensors;
  for (const std::string& name : events.files) {
    const std::string part_path = (folder / name).string();
    auto part_source = FileSource::open(part_path);
    if (!part_source) return tl::unexpected<Error>(part_source.error());
    Result<ModelFile> part = parse(**part_source, limits);
    if (!part) return part;
    const auto number = static_cast<std::uint32_t>(whole.parts.size());
    whole.parts.push_back(part->parts.front());
    for (TensorEntry& tensor : part->tensors) {
      const auto found = events.file_of.find(tensor.name);
      if (found == events.file_of.end() || found->second != name) continue;  // nobody loads it
      events.file_of.erase(found);
      tensor.part = number;
      whole.tensors.push_back(std::move(tensor));
    }
    whole.metadata.merge(part->metadata);
  }
  if (!events.file_of.empty()) {
    const auto& [tensor, name] = *events.file_of.begin();
    return wrong_file(path, "the tensor '" + shown(tensor) + "' is not in '" + shown(name) +
                                "', where it is said to be; " +
                                std::to_string(events.file_of.size()) + " are missing");
  }
  return whole;
}

}  // namespace

Result<ModelFile> parse_safetensors(std::string_view bytes, std::string_view origin,
                                    const ReadLimits& limits) {
  MemorySource source(bytes, origin);
  return parse(source, limits);
}

Result<ModelFile> read_safetensors(const std::string& path, const ReadLimits& limits) {
  if (path.ends_with(".json")) return read_sharded(path, limits);
  auto source = FileSource::open(path);
  if (!source) return tl::unexpected<Error>(source.error());
  return parse(**source, limits);
}

}  // namespace mais::files
