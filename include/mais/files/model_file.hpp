// What the header of a model file says: its tensors, and the metadata beside them. Weights are
// never read; every byte that is read is bounds-checked.
//
// One reader for each format fills it in: gguf.hpp, safetensors.hpp, onnx_model.hpp. All of them
// take any bytes: whatever is wrong is a parse_error that says which file, at which byte, what is
// there and what would be right. They allocate in proportion to bytes that are really in the file,
// within ReadLimits. Functions are pure apart from reading files, and safe from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mais/files/element_type.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::files {

enum class ModelFormat : std::uint8_t { gguf, safetensors, onnx };
std::string_view to_string(ModelFormat format) noexcept;

struct TensorEntry {
  std::string name{};
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape{};  // outermost first; empty: a single number
  Bytes bytes{};                      // of its data, without padding
  std::uint32_t part = 0;             // ModelFile::parts
  std::uint64_t offset = 0;           // of its data, from the start of that file

  std::int64_t elements() const noexcept;  // saturates
};

// One file of a model, or the only one.
struct FilePart {
  std::string path{};
  Bytes size{};
};

// A list that is too long to keep (a vocabulary), or of things nobody computes with.
struct OmittedList {
  std::int64_t count = 0;
};
using MetadataValue = std::variant<bool, std::int64_t, double, std::string,
                                   std::vector<std::int64_t>, std::vector<double>, OmittedList>;

struct ModelFile {
  ModelFormat format = ModelFormat::gguf;
  std::string architecture{};  // as the file calls it; empty: the format does not say
  std::vector<FilePart> parts{};
  std::vector<TensorEntry> tensors{};  // in the order of the files
  std::map<std::string, MetadataValue, std::less<>> metadata{};

  // Sum over the tensors. O(tensors).
  Bytes weight_bytes() const noexcept;
  std::int64_t parameters() const noexcept;
  // Sum over the parts: weights, headers, padding.
  Bytes file_bytes() const noexcept;
  // The value, where it is there and of that kind; a real number that is whole is an integer too.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<std::string> text(std::string_view key) const;
  // How many entries the list has, kept or not.
  std::optional<std::int64_t> list_size(std::string_view key) const;
};

// What a reader takes at most. The defaults are far above every published model.
struct ReadLimits {
  Bytes header{256LL << 20};         // of one file, up to its data
  std::int64_t tensors = 1'000'000;  // of all parts
  std::int64_t metadata = 65'536;    // entries
  std::int64_t kept_list = 8'192;    // entries of a list of numbers; longer ones are counted only
  Bytes kept_text{64LL << 10};       // longer texts (templates) are counted only
  std::int64_t parts = 4'096;
};

}  // namespace mais::files
