#include "mais/files/gguf.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <filesystem>
#include <unordered_set>

#include "byte_source.hpp"
#include "tensor_layout.hpp"

namespace mais::files {

namespace {

using enum ElementType;

// The numbers of ggml's types; those left out were withdrawn, or were never in files.
constexpr std::array<std::optional<ElementType>, 43> kGgmlTypes = {
    f32,   f16,    q4_0,  q4_1,   std::nullopt, std::nullopt, q5_0,   q5_1,    q8_0,  q8_1,   q2_k,
    q3_k,  q4_k,   q5_k,  q6_k,   q8_k,         iq2_xxs,      iq2_xs, iq3_xxs, iq1_s, iq4_nl, iq3_s,
    iq2_s, iq4_xs, i8,    i16,    i32,          i64,          f64,    iq1_m,   bf16,  q4_0,   q4_0,
    q4_0,  tq1_0,  tq2_0, iq4_nl, iq4_nl,       iq4_nl,       mxfp4,  nvfp4,   q1_0,  q2_0};

// The numbers of the kinds of metadata.
enum class ValueKind : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  text,
  list,
  u64,
  i64,
  f64,
};
constexpr std::uint32_t kValueKinds = 13;
constexpr std::array<std::uint64_t, kValueKinds> kValueBytes = {1, 1, 2, 2, 4, 4, 4,
                                                                1, 0, 0, 8, 8, 8};

constexpr std::uint64_t kMostName = 256;  // bytes; ggml itself allows 64
constexpr std::uint64_t kMostKey = 65'535;
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::uint64_t kLeastEntry = 12 + 4 + 8;  // of a tensor or a key: name, type, and the rest
constexpr int kMostNesting = 4;
constexpr std::uint64_t kMostKeptNumbers = 1'000'000;  // a byte in the file is 8 in a list

// Reads the header of one file.
class GgufParser {
 public:
  GgufParser(ByteSource& source, const ReadLimits& limits)
      : source_(source),
        limits_(limits),
        reader_(source, 0, static_cast<std::uint64_t>(limits.header.count())) {}

  Result<ModelFile> run() {
    file_.format = ModelFormat::gguf;
    const std::int64_t size = source_.size() > static_cast<std::uint64_t>(detail::kCountMax)
                                  ? detail::kCountMax
                                  : static_cast<std::int64_t>(source_.size());
    file_.parts.push_back({source_.name(), Bytes(size)});
    read_start();
    read_metadata();
    read_tensors();
    if (reader_.failed()) return tl::unexpected<Error>(reader_.error());
    place_tensors();
    if (reader_.failed()) return tl::unexpected<Error>(reader_.error());
    if (auto fine = check_layout(file_, 0, source_, data_begin_, false); !fine) {
      return tl::unexpected<Error>(fine.error());
    }
    file_.architecture = file_.text("general.architecture").value_or("");
    return std::move(file_);
  }

 private:
  void read_start() {
    const std::string magic = reader_.text(4, "the magic number");
    if (reader_.failed()) return;
    if (magic != "GGUF") {
      return reader_.refuse(
          0, "this is not GGUF: it begins with '" + shown(magic) + "', not with 'GGUF'");
    }
    std::uint32_t version = reader_.number<std::uint32_t>("the version");
    if (version != 0 && (version & 0xffffU) == 0) {  // written on a machine of the other order
      reader_.big_endian(true);
      version = ((version & 0xff0000U) >> 8U) | (version >> 24U);
    }
    if (!reader_.failed() && version != 2 && version != 3) {
      return reader_.refuse(4, "version " + std::to_string(version) +
                                   " of GGUF is not read, only 2 and 3; convert the model again");
    }
    tensors_ = reader_.number<std::uint64_t>("the number of tensors");
    check_count(tensors_, limits_.tensors, "tensors", 8);
    metadata_ = reader_.number<std::uint64_t>("the number of metadata entries");
    check_count(metadata_, limits_.metadata, "metadata entries", 16);
  }

  void check_count(std::uint64_t count, std::int64_t most, const char* what, std::uint64_t offset) {
    if (reader_.failed()) return;
    const std::uint64_t limit = static_cast<std::uint64_t>(std::max<std::int64_t>(0, most));
    if (count > limit) {
      reader_.refuse(offset, "it says it has " + std::to_string(count) + " " + what + "; at most " +
                                 std::to_string(limit) + " are read");
    } else if (count > reader_.remaining() / (kLeastEntry / 2)) {
      reader_.refuse(offset, "it says it has " + std::to_string(count) + " " + what +
                                 ", more than the rest of the header has room for");
    }
  }

  std::string name(std::uint64_t most, const char* what) {
    const std::uint64_t at = reader_.offset();
    const std::uint64_t length = reader_.number<std::uint64_t>(what);
    if (!reader_.failed() && length > most) {
      reader_.refuse(at, std::string(what) + " has " + std::to_string(length) + " bytes; at most " +
                             std::to_string(most) + " are allowed");
    }
    return reader_.text(length, what);
  }

  void read_metadata() {
    for (std::uint64_t i = 0; i < metadata_ && !reader_.failed(); ++i) {
      const std::uint64_t at = reader_.offset();
      std::string key = name(kMostKey, "a metadata key");
      MetadataValue value = read_value(kind(), 0);
      if (reader_.failed()) return;
      if (!file_.metadata.emplace(key, std::move(value)).second) {
        reader_.refuse(at, "the key '" + shown(key) + "' is given twice");
      }
    }
  }

  ValueKind kind() {
    const std::uint64_t at = reader_.offset();
    const std::uint32_t number = reader_.number<std::uint32_t>("the kind of a value");
    if (reader_.failed()) return ValueKind::u8;
    if (number >= kValueKinds) {
      reader_.refuse(at, "there is no kind of value with number " + std::to_string(number) +
                             "; they are 0 to 12");
      return ValueKind::u8;
    }
    return static_cast<ValueKind>(number);
  }

  template <class Unsigned, class Signed>
  std::int64_t whole() {
    return static_cast<Signed>(reader_.number<Unsigned>("a metadata value"));
  }

  MetadataValue read_value(ValueKind kind, int nesting) {
    switch (kind) {
      case ValueKind::u8:
        return whole<std::uint8_t, std::uint8_t>();
      case ValueKind::i8:
        return whole<std::uint8_t, std::int8_t>();
      case ValueKind::u16:
        return whole<std::uint16_t, std::uint16_t>();
      case ValueKind::i16:
        return whole<std::uint16_t, std::int16_t>();
      case ValueKind::u32:
        return whole<std::uint32_t, std::uint32_t>();
      case ValueKind::i32:
        return whole<std::uint32_t, std::int32_t>();
      case ValueKind::u64: {
        const auto value = reader_.number<std::uint64_t>("a metadata value");
        if (value > static_cast<std::uint64_t>(detail::kCountMax)) {
          return static_cast<double>(value);
        }
        return static_cast<std::int64_t>(value);
      }
      case ValueKind::i64:
        return whole<std::uint64_t, std::int64_t>();
      case ValueKind::f32:
        return static_cast<double>(
            std::bit_cast<float>(reader_.number<std::uint32_t>("a metadata value")));
      case ValueKind::f64:
        return std::bit_cast<double>(reader_.number<std::uint64_t>("a metadata value"));
      case ValueKind::boolean:
        return reader_.number<std::uint8_t>("a metadata value") != 0;
      case ValueKind::text:
        return read_text();
      case ValueKind::list:
        return read_list(nesting);
    }
    return std::int64_t{0};
  }

  MetadataValue read_text() {
    const auto length = reader_.number<std::uint64_t>("the length of a text");
    if (length <= static_cast<std::uint64_t>(limits_.kept_text.count())) {
      return reader_.text(length, "a metadata text");
    }
    reader_.skip(length, "a metadata text");
    return OmittedList{1};
  }

  MetadataValue read_list(int nesting) {
    const std::uint64_t at = reader_.offset();
    if (nesting >= kMostNesting) {
      reader_.refuse(at, "lists are nested more than 4 deep");
      return OmittedList{};
    }
    const ValueKind element = kind();
    const auto count = reader_.number<std::uint64_t>("the length of a list");
    const std::uint64_t bytes = kValueBytes[static_cast<std::size_t>(element)];
    const std::uint64_t least = bytes > 0 ? bytes : 8;  // a text has a length, a list more
    if (!reader_.failed() && count > reader_.remaining() / least) {
      reader_.refuse(at, "a list says it has " + std::to_string(count) +
                             " entries, more than the rest of the header has room for");
    }
    if (reader_.failed()) return OmittedList{};
    const OmittedList omitted{static_cast<std::int64_t>(count)};
    if (element == ValueKind::text) {
      for (std::uint64_t i = 0; i < count && !reader_.failed(); ++i) {
        reader_.skip(reader_.number<std::uint64_t>("the length of a text"), "a text of a list");
      }
      return omitted;
    }
    if (element == ValueKind::list) {
      for (std::uint64_t i = 0; i < count && !reader_.failed(); ++i) read_list(nesting + 1);
      return omitted;
    }
    kept_numbers_ += count;
    if (count > static_cast<std::uint64_t>(std::max<std::int64_t>(0, limits_.kept_list)) ||
        kept_numbers_ > kMostKeptNumbers) {
      reader_.skip(count * bytes, "a list of numbers");
      return omitted;
    }
    if (element == ValueKind::f32 || element == ValueKind::f64) {
      std::vector<double> values;
      for (std::uint64_t i = 0; i < count; ++i) {
        values.push_back(std::get<double>(read_value(element, nesting)));
      }
      return values;
    }
    std::vector<std::int64_t> values;
    for (std::uint64_t i = 0; i < count; ++i) {
      const MetadataValue value = read_value(element, nesting);
      if (const auto* flag = std::get_if<bool>(&value)) {
        values.push_back(*flag ? 1 : 0);
      } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
        values.push_back(*number);
      } else {
        values.push_back(detail::kCountMax);  // a u64 beyond what is counted
      }
    }
    return values;
  }

  void read_tensors() {
    std::unordered_set<std::string> names;
    for (std::uint64_t i = 0; i < tensors_ && !reader_.failed(); ++i) {
      const std::uint64_t at = reader_.offset();
      TensorEntry tensor;
      tensor.name = name(kMostName, "the name of a tensor");
      read_shape(tensor);
      read_type(tensor);
      tensor.offset = reader_.number<std::uint64_t>("the offset of a tensor");
      if (reader_.failed()) return;
      if (!names.insert(tensor.name).second) {
        return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' is given twice");
      }
      file_.tensors.push_back(std::move(tensor));
    }
  }

  // In the file the innermost length comes first.
  void read_shape(TensorEntry& tensor) {
    const std::uint64_t at = reader_.offset();
    const auto dimensions = reader_.number<std::uint32_t>("the number of dimensions");
    if (reader_.failed()) return;
    if (dimensions > kMostDimensions) {
      return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' has " +
                                    std::to_string(dimensions) +
                                    " dimensions; at most 4 are allowed");
    }
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      const auto length = reader_.number<std::uint64_t>("a dimension of a tensor");
      if (length > static_cast<std::uint64_t>(detail::kCountMax)) {
        return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' has a dimension of " +
                                      std::to_string(length) + "; below 2^63 is needed");
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(length));
    }
  }

  void read_type(TensorEntry& tensor) {
    const std::uint64_t at = reader_.offset();
    const auto number = reader_.number<std::uint32_t>("the type of a tensor");
    if (reader_.failed()) return;
    if (number >= kGgmlTypes.size() || !kGgmlTypes[number]) {
      return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' has type " +
                                    std::to_string(number) +
                                    ", which ggml does not have (0 to 42, without 4 and 5)");
    }
    tensor.type = *kGgmlTypes[number];
    if (const auto problem = size_tensor(tensor)) reader_.refuse(at, *problem);
  }

  // Data begins at the next multiple of the alignment; offsets count from there.
  void place_tensors() {
    std::uint64_t alignment = 32;
    if (file_.metadata.count("general.alignment") > 0) {
      const std::int64_t given = file_.integer("general.alignment").value_or(0);
      if (given < 1 || given > (1 << 20) || (given & (given - 1)) != 0) {
        return reader_.refuse(reader_.offset(), "general.alignment is not a power of 2 up to 2^20");
      }
      alignment = static_cast<std::uint64_t>(given);
    }
    data_begin_ = (reader_.offset() + alignment - 1) / alignment * alignment;
    for (TensorEntry& tensor : file_.tensors) {
      if (tensor.offset % alignment != 0) {
        return reader_.refuse(data_begin_, "the tensor '" + shown(tensor.name) + "' is at offset " +
                                               std::to_string(tensor.offset) +
                                               ", which is not a multiple of " +
                                               std::to_string(alignment));
      }
      tensor.offset =
          tensor.offset > UINT64_MAX - data_begin_ ? UINT64_MAX : tensor.offset + data_begin_;
    }
  }

  ByteSource& source_;
  const ReadLimits& limits_;
  ByteReader reader_;
  ModelFile file_;
  std::uint64_t tensors_ = 0;
  std::uint64_t metadata_ = 0;
  std::uint64_t data_begin_ = 0;
  std::uint64_t kept_numbers_ = 0;  // entries of lists so far
};

Result<ModelFile> read_one(const std::string& path, const ReadLimits& limits) {
  auto source = FileSource::open(path);
  if (!source) return tl::unexpected<Error>(source.error());
  return GgufParser(**source, limits).run();
}

// "x-00002-of-00005.gguf"
constexpr std::size_t kEnding = std::string_view("-00002-of-00005.gguf").size();

std::string part_name(const std::string& stem, std::int64_t part, std::int64_t parts) {
  std::array<char, 64> ending{};
  std::snprintf(ending.data(), ending.size(), "-%05lld-of-%05lld.gguf",
                static_cast<long long>(part), static_cast<long long>(parts));
  return stem + ending.data();
}

// The other parts' tensors into the file read first, in the order of the parts.
Result<ModelFile> read_split(const std::string& path, const ModelFile& asked, std::int64_t parts,
                             const ReadLimits& limits) {
  if (parts > limits.parts || parts < 1) {
    return wrong_file(path, "it says it is split in " + std::to_string(parts) + "; at most " +
                                std::to_string(limits.parts) + " parts are read");
  }
  const std::int64_t number = asked.integer("split.no").value_or(-1);
  const std::string stem = path.substr(0, path.size() < kEnding ? 0 : path.size() - kEnding);
  if (number < 0 || number >= parts || path != part_name(stem, number + 1, parts)) {
    return wrong_file(path, "it says it is part " + std::to_string(number + 1) + " of " +
                                std::to_string(parts) + ", so its name must end in '" +
                                part_name("", number + 1, parts) + "'; give it back its name");
  }
  ModelFile whole;
  std::unordered_set<std::string> names;
  for (std::int64_t i = 0; i < parts; ++i) {
    const std::string name = part_name(stem, i + 1, parts);
    Result<ModelFile> part = read_one(name, limits);
    if (!part) return part;
    if (part->integer("split.count") != parts || part->integer("split.no") != i) {
      return wrong_file(name, "it does not say that it is part " + std::to_string(i + 1) + " of " +
                                  std::to_string(parts) + ", as its name does");
    }
    if (i == 0) {
      whole = std::move(*part);
      for (const TensorEntry& tensor : whole.tensors) names.insert(tensor.name);
      continue;
    }
    whole.parts.push_back(part->parts.front());
    for (TensorEntry& tensor : part->tensors) {
      if (!names.insert(tensor.name).second) {
        return wrong_file(name, "the tensor '" + shown(tensor.name) + "' is in another part too");
      }
      tensor.part = static_cast<std::uint32_t>(i);
      whole.tensors.push_back(std::move(tensor));
    }
    if (static_cast<std::int64_t>(whole.tensors.size()) > limits.tensors) {
      return wrong_file(name,
                        "the parts have more than " + std::to_string(limits.tensors) + " tensors");
    }
  }
  const auto total = whole.integer("split.tensors.count");
  if (total && *total != static_cast<std::int64_t>(whole.tensors.size())) {
    return wrong_file(path, "the parts have " + std::to_string(whole.tensors.size()) +
                                " tensors, not the " + std::to_string(*total) +
                                " that part 1 says");
  }
  return whole;
}

}  // namespace

Result<ModelFile> parse_gguf(std::string_view bytes, std::string_view origin,
                             const ReadLimits& limits) {
  MemorySource source(bytes, origin);
  return GgufParser(source, limits).run();
}

Result<ModelFile> read_gguf(const std::string& path, const ReadLimits& limits) {
  Result<ModelFile> file = read_one(path, limits);
  if (!file) return file;
  const std::int64_t parts = file->integer("split.count").value_or(1);
  if (parts == 1 || (parts == 0 && file->metadata.count("split.no") > 0)) return file;
  return read_split(path, *file, parts, limits);
}

}  // namespace mais::files
