// Types that tensors of model files are stored in: plain numbers, and the blocks of ggml's
// quantised formats, with the bytes that a row of them takes.
//
// Sources: ggml (`ggml.h` for the numbers of the types, `ggml-common.h` for the blocks),
// safetensors
// (`Dtype`), ONNX (`TensorProto.DataType`). Everything here is pure and safe from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "mais/units.hpp"

namespace mais::files {

// clang-format off
enum class ElementType : std::uint8_t {
  f64, f32, f16, bf16, f8_e4m3, f8_e5m2, f8_e8m0, f6_e2m3, f6_e3m2, f4,
  i64, i32, i16, i8, u64, u32, u16, u8, boolean, complex64, complex128, i4,
  q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q2_k, q3_k, q4_k, q5_k, q6_k, q8_k,
  iq2_xxs, iq2_xs, iq3_xxs, iq1_s, iq4_nl, iq3_s, iq2_s, iq4_xs, iq1_m, tq1_0, tq2_0,
  mxfp4, nvfp4, q1_0, q2_0,
};
// clang-format on

// How a type is laid out: so many elements share a block of so many bytes.
struct ElementLayout {
  ElementType type = ElementType::f32;
  std::string_view name{};  // as people write it: "bf16", "q4_k"
  std::int64_t block_elements = 1;
  std::int64_t block_bytes = 1;
};

// Every type once, in the order of the enumeration.
std::span<const ElementLayout> element_layouts() noexcept;
const ElementLayout& layout(ElementType type) noexcept;
inline std::string_view to_string(ElementType type) noexcept {
  return layout(type).name;
}
// The type of that name, upper or lower case; "fp8" and "float16" are understood too.
std::optional<ElementType> element_type_named(std::string_view name) noexcept;

// True for the formats whose blocks carry a scale: only matrices are stored in them.
bool is_block_quantised(ElementType type) noexcept;

// Bytes of `rows` rows of `elements` each; every row begins with a block of its own, and a block
// that a row fills in part is counted whole. Saturates. O(1).
Bytes bytes_of(ElementType type, std::int64_t elements, std::int64_t rows = 1) noexcept;

// Bits that one element takes on average: 4.5 for q4_0.
inline double bits_per_element(ElementType type) noexcept {
  const ElementLayout& shape = layout(type);
  return 8.0 * static_cast<double>(shape.block_bytes) / static_cast<double>(shape.block_elements);
}

}  // namespace mais::files
