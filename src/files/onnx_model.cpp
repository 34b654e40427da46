#include "mais/files/onnx_model.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <unordered_set>

#include "byte_source.hpp"
#include "tensor_layout.hpp"

namespace mais::files {

namespace {

constexpr int kMostMessages = 32;

// TensorProto.DataType; none: texts.
std::optional<ElementType> type_of(std::uint64_t number) {
  using enum ElementType;
  constexpr ElementType kTypes[] = {
      f32,     f32,     u8,      i8,  u16, i16,       i32,        i64,  u8,
      boolean, f16,     f64,     u32, u64, complex64, complex128, bf16, f8_e4m3,
      f8_e4m3, f8_e5m2, f8_e5m2, i4,  i4,  f4,        f8_e8m0};
  if (number == 0 || number == 8 || number >= std::size(kTypes)) return std::nullopt;
  return kTypes[number];
}

struct ExternalData {
  std::string location{};
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length{};
};

class OnnxParser {
 public:
  OnnxParser(ByteSource& source, const ReadLimits& limits)
      : source_(source), limits_(limits), reader_(source, 0, source.size()) {}

  Result<ModelFile> run() {
    file_.format = ModelFormat::onnx;
    file_.architecture = "onnx";
    file_.parts.push_back({source_.name(), Bytes(static_cast<std::int64_t>(std::min<std::uint64_t>(
                                               source_.size(), detail::kCountMax)))});
    bool graph = false;
    message(source_.size(), [&](std::uint64_t field, std::uint64_t end) {
      if (field != 7) return false;
      graph = true;
      read_graph(end, "", 0);
      return true;
    });
    if (!reader_.failed() && !graph) {
      reader_.refuse(0, "this is not an ONNX model: it has no graph");
    }
    if (reader_.failed()) return tl::unexpected<Error>(reader_.error());
    return std::move(file_);
  }

 private:
  enum : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  std::uint64_t varint() {
    const std::uint64_t at = reader_.offset();
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      const auto byte = reader_.number<std::uint8_t>("a number");
      if (reader_.failed()) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    reader_.refuse(at, "a number has more than ten bytes; this is not an ONNX model");
    return 0;
  }

  // Calls take(field, end) for each field that has a length and lies before `limit`; what it leaves
  // (false) is skipped. Numbers go to number(field, value).
  template <class Take>
  void message(std::uint64_t limit, Take take) {
    message(limit, take, [](std::uint64_t, std::uint64_t) {});
  }
  template <class Take, class Number>
  void message(std::uint64_t limit, Take take, Number number) {
    while (!reader_.failed() && reader_.offset() < limit) {
      const std::uint64_t at = reader_.offset();
      const std::uint64_t tag = varint();
      const std::uint64_t field = tag >> 3U;
      switch (tag & 7U) {
        case kVarint:
          number(field, varint());
          break;
        case kFixed64:
          reader_.skip(8, "a number");
          break;
        case kFixed32:
          reader_.skip(4, "a number");
          break;
        case kBytes: {
          const std::uint64_t length = varint();
          if (reader_.failed()) return;
          if (length > limit - std::min(limit, reader_.offset())) {
            return reader_.refuse(at, "field " + std::to_string(field) + " has " +
                                          std::to_string(length) +
                                          " bytes, more than what it is a part of");
          }
          const std::uint64_t end = reader_.offset() + length;
          if (!take(field, end)) reader_.skip(length, "a field");
          if (!reader_.failed() && reader_.offset() != end) {
            return reader_.refuse(at,
                                  "field " + std::to_string(field) + " does not end where it says");
          }
          break;
        }
        default:
          return reader_.refuse(at, "there is no field of that kind; this is not an ONNX model");
      }
      if (!reader_.failed() && reader_.offset() > limit) {
        return reader_.refuse(at, "field " + std::to_string(field) + " goes beyond what it is in");
      }
    }
  }

  std::string text(std::uint64_t end) {
    const std::uint64_t length = end - reader_.offset();
    if (length <= static_cast<std::uint64_t>(limits_.kept_text.count())) {
      return reader_.text(length, "a text");
    }
    reader_.refuse(reader_.offset(), "a name has " + std::to_string(length) + " bytes; at most " +
                                         std::to_string(limits_.kept_text.count()) +
                                         " are allowed");
    return {};
  }

  void read_graph(std::uint64_t end, const std::string& prefix, int nesting) {
    if (nesting >= kMostMessages) {
      return reader_.refuse(reader_.offset(), "bodies are nested more than 32 deep");
    }
    message(end, [&](std::uint64_t field, std::uint64_t inner) {
      if (field == 1) {
        read_node(inner, prefix, nesting);
      } else if (field == 5) {
        read_tensor(inner, prefix);
      } else if (field == 15) {
        reader_.refuse(reader_.offset(), "it has sparse initializers, which are not counted yet");
      } else {
        return false;
      }
      return true;
    });
  }

  // Constants and bodies are attributes of nodes.
  void read_node(std::uint64_t end, const std::string& prefix, int nesting) {
    message(end, [&](std::uint64_t field, std::uint64_t attribute) {
      if (field != 5) return false;
      message(attribute, [&](std::uint64_t part, std::uint64_t inner) {
        if (part == 5 || part == 10) {
          read_tensor(inner, prefix + "#constant" + std::to_string(++constants_) + "/");
        } else if (part == 6 || part == 11) {
          read_graph(inner, "#" + std::to_string(++bodies_) + "/", nesting + 1);
        } else {
          return false;
        }
        return true;
      });
      return true;
    });
  }

  void read_tensor(std::uint64_t end, const std::string& prefix) {
    const std::uint64_t at = reader_.offset();
    TensorEntry tensor;
    ExternalData outside;
    std::uint64_t type = 0, location = 0;
    std::optional<std::uint64_t> raw;
    tensor.offset = at;
    const auto add_dimension = [&](std::uint64_t length) {
      if (length > static_cast<std::uint64_t>(detail::kCountMax) || tensor.shape.size() >= 64) {
        return reader_.refuse(at, "a tensor has a negative dimension, or more than 64");
      }
      tensor.shape.push_back(static_cast<std::int64_t>(length));
    };
    message(
        end,
        [&](std::uint64_t field, std::uint64_t inner) {
          switch (field) {
            case 1:
              while (!reader_.failed() && reader_.offset() < inner) add_dimension(varint());
              return true;
            case 8:
              tensor.name = prefix + text(inner);
              return true;
            case 9:
              raw = inner - reader_.offset();
              [[fallthrough]];
            case 4:
            case 5:
            case 7:
            case 10:
            case 11:
              tensor.offset = reader_.offset();
              return false;
            case 13:
              read_external(inner, outside);
              return true;
            default:
              return false;
          }
        },
        [&](std::uint64_t field, std::uint64_t value) {
          if (field == 1) add_dimension(value);
          if (field == 2) type = value;
          if (field == 14) location = value;
        });
    if (reader_.failed() || type == 8) return;
    if (tensor.name.empty()) tensor.name = prefix + "#" + std::to_string(file_.tensors.size());
    const std::optional<ElementType> known = type_of(type);
    if (!known) {
      return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' has the data type " +
                                    std::to_string(type) + "; 1 to 24 are known");
    }
    tensor.type = *known;
    if (const auto problem = size_tensor(tensor)) return reader_.refuse(at, *problem);
    const auto bytes = static_cast<std::uint64_t>(tensor.bytes.count());
    if (location == 1) {
      place_outside(tensor, outside, at);
    } else if (raw && *raw != bytes) {
      return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' has " +
                                    std::to_string(*raw) +
                                    " bytes of data, but its type and shape "
                                    "take " +
                                    std::to_string(bytes));
    } else if (!raw && tensor.elements() > static_cast<std::int64_t>(end - at) * 2) {
      return reader_.refuse(at, "the tensor '" + shown(tensor.name) +
                                    "' has less data than its "
                                    "shape says");
    }
    if (reader_.failed()) return;
    if (static_cast<std::int64_t>(file_.tensors.size()) >= limits_.tensors) {
      return reader_.refuse(at, "it has more than " + std::to_string(limits_.tensors) + " tensors");
    }
    if (!names_.insert(tensor.name).second) {
      return reader_.refuse(at, "the tensor '" + shown(tensor.name) + "' is given twice");
    }
    file_.tensors.push_back(std::move(tensor));
  }

  void read_external(std::uint64_t end, ExternalData& outside) {
    const std::uint64_t at = reader_.offset();
    std::string key, value;
    message(end, [&](std::uint64_t field, std::uint64_t inner) {
      if (field != 1 && field != 2) return false;
      (field == 1 ? key : value) = text(inner);
      return true;
    });
    if (reader_.failed()) return;
    if (key == "location") outside.location = value;
    if (key != "offset" && key != "length") return;
    std::uint64_t number = 0;
    const char* last = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), last, number);
    if (error != std::errc{} || stop != last) {
      return reader_.refuse(at, "the " + key + " of external data is '" + shown(value) +
                                    "'; a whole number is needed");
    }
    if (key == "offset") {
      outside.offset = number;
    } else {
      outside.length = number;
    }
  }

  void place_outside(TensorEntry& tensor, const ExternalData& outside, std::uint64_t at) {
    const std::filesystem::path path(outside.location);
    const bool leaves =
        std::any_of(path.begin(), path.end(), [](const auto& p) { return p == ".."; });
    if (outside.location.empty() || path.is_absolute() || leaves ||
        outside.location.find('\0') != std::string::npos) {
      return reader_.refuse(at, "the data of '" + shown(tensor.name) + "' is said to be in '" +
                                    shown(outside.location) +
                                    "'; a file below the model's folder is needed");
    }
    if (outside.length && *outside.length != static_cast<std::uint64_t>(tensor.bytes.count())) {
      return reader_.refuse(at, "the data of '" + shown(tensor.name) + "' is said to have " +
                                    std::to_string(*outside.length) +
                                    " bytes, but its type and shape take " +
                                    std::to_string(tensor.bytes.count()));
    }
    const auto [known, fresh] = part_of_.emplace(outside.location, file_.parts.size());
    if (fresh) {
      if (static_cast<std::int64_t>(file_.parts.size()) >= limits_.parts) {
        return reader_.refuse(
            at, "its data is in more than " + std::to_string(limits_.parts) + " files");
      }
      file_.parts.push_back({outside.location, Bytes(0)});
    }
    tensor.part = static_cast<std::uint32_t>(known->second);
    tensor.offset = outside.offset;
  }

  ByteSource& source_;
  const ReadLimits& limits_;
  ByteReader reader_;
  ModelFile file_;
  std::map<std::string, std::size_t> part_of_;  // by location
  std::unordered_set<std::string> names_;
  std::uint64_t bodies_ = 0, constants_ = 0;
};

}  // namespace

Result<ModelFile> parse_onnx_model(std::string_view bytes, std::string_view origin,
                                   const ReadLimits& limits) {
  MemorySource source(bytes, origin);
  return OnnxParser(source, limits).run();
}

Result<ModelFile> read_onnx_model(const std::string& path, const ReadLimits& limits) {
  auto source = FileSource::open(path);
  if (!source) return tl::unexpected<Error>(source.error());
  Result<ModelFile> file = OnnxParser(**source, limits).run();
  if (!file) return file;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  for (std::size_t i = 1; i < file->parts.size(); ++i) {
    FilePart& part = file->parts[i];
    part.path = (folder / part.path).string();
    auto data = FileSource::open(part.path);
    if (!data) return tl::unexpected<Error>(data.error());
    part.size = Bytes(static_cast<std::int64_t>((*data)->size()));
  }
  for (const TensorEntry& tensor : file->tensors) {
    if (tensor.part == 0) continue;
    const FilePart& part = file->parts[tensor.part];
    const auto size = static_cast<std::uint64_t>(part.size.count());
    const auto bytes = static_cast<std::uint64_t>(tensor.bytes.count());
    if (tensor.offset <= size && bytes <= size - tensor.offset) continue;
    return fail(ErrorCode::parse_error, part.path + ": at byte " + std::to_string(tensor.offset) +
                                            ": the tensor '" + shown(tensor.name) + "' takes " +
                                            std::to_string(bytes) +
                                            " bytes, but the file ends at byte " +
                                            std::to_string(size) + "; it is cut short or damaged");
  }
  return file;
}

}  // namespace mais::files
