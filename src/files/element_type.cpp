#include "mais/files/element_type.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace mais::files {

namespace {

using enum ElementType;

constexpr std::array kLayouts = {
    ElementLayout{f64, "f64", 1, 8},
    ElementLayout{f32, "f32", 1, 4},
    ElementLayout{f16, "f16", 1, 2},
    ElementLayout{bf16, "bf16", 1, 2},
    ElementLayout{f8_e4m3, "f8_e4m3", 1, 1},
    ElementLayout{f8_e5m2, "f8_e5m2", 1, 1},
    ElementLayout{f8_e8m0, "f8_e8m0", 1, 1},
    ElementLayout{f6_e2m3, "f6_e2m3", 4, 3},
    ElementLayout{f6_e3m2, "f6_e3m2", 4, 3},
    ElementLayout{f4, "f4", 2, 1},
    ElementLayout{i64, "i64", 1, 8},
    ElementLayout{i32, "i32", 1, 4},
    ElementLayout{i16, "i16", 1, 2},
    ElementLayout{i8, "i8", 1, 1},
    ElementLayout{u64, "u64", 1, 8},
    ElementLayout{u32, "u32", 1, 4},
    ElementLayout{u16, "u16", 1, 2},
    ElementLayout{u8, "u8", 1, 1},
    ElementLayout{boolean, "bool", 1, 1},
    ElementLayout{complex64, "c64", 1, 8},
    ElementLayout{complex128, "c128", 1, 16},
    ElementLayout{i4, "i4", 2, 1},
    ElementLayout{q4_0, "q4_0", 32, 18},
    ElementLayout{q4_1, "q4_1", 32, 20},
    ElementLayout{q5_0, "q5_0", 32, 22},
    ElementLayout{q5_1, "q5_1", 32, 24},
    ElementLayout{q8_0, "q8_0", 32, 34},
    ElementLayout{q8_1, "q8_1", 32, 36},
    ElementLayout{q2_k, "q2_k", 256, 84},
    ElementLayout{q3_k, "q3_k", 256, 110},
    ElementLayout{q4_k, "q4_k", 256, 144},
    ElementLayout{q5_k, "q5_k", 256, 176},
    ElementLayout{q6_k, "q6_k", 256, 210},
    ElementLayout{q8_k, "q8_k", 256, 292},
    ElementLayout{iq2_xxs, "iq2_xxs", 256, 66},
    ElementLayout{iq2_xs, "iq2_xs", 256, 74},
    ElementLayout{iq3_xxs, "iq3_xxs", 256, 98},
    ElementLayout{iq1_s, "iq1_s", 256, 50},
    ElementLayout{iq4_nl, "iq4_nl", 32, 18},
    ElementLayout{iq3_s, "iq3_s", 256, 110},
    ElementLayout{iq2_s, "iq2_s", 256, 82},
    ElementLayout{iq4_xs, "iq4_xs", 256, 136},
    ElementLayout{iq1_m, "iq1_m", 256, 56},
    ElementLayout{tq1_0, "tq1_0", 256, 54},
    ElementLayout{tq2_0, "tq2_0", 256, 66},
    ElementLayout{mxfp4, "mxfp4", 32, 17},
    ElementLayout{nvfp4, "nvfp4", 64, 36},
    ElementLayout{q1_0, "q1_0", 128, 18},
    ElementLayout{q2_0, "q2_0", 64, 18},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kLayouts.size(); ++i) {
    if (static_cast<std::size_t>(kLayouts[i].type) != i) return false;
  }
  return true;
}
static_assert(in_order(), "layout() looks a type up by its place");

constexpr std::array kOtherNames = {
    std::pair<std::string_view, ElementType>{"float64", f64},
    std::pair<std::string_view, ElementType>{"float32", f32},
    std::pair<std::string_view, ElementType>{"fp32", f32},
    std::pair<std::string_view, ElementType>{"float16", f16},
    std::pair<std::string_view, ElementType>{"fp16", f16},
    std::pair<std::string_view, ElementType>{"half", f16},
    std::pair<std::string_view, ElementType>{"bfloat16", bf16},
    std::pair<std::string_view, ElementType>{"fp8", f8_e4m3},
    std::pair<std::string_view, ElementType>{"float8_e4m3fn", f8_e4m3},
    std::pair<std::string_view, ElementType>{"float8_e5m2", f8_e5m2},
    std::pair<std::string_view, ElementType>{"fp4", f4},
    std::pair<std::string_view, ElementType>{"int8", i8},
    std::pair<std::string_view, ElementType>{"int4", i4},
};

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::span<const ElementLayout> element_layouts() noexcept {
  return kLayouts;
}

const ElementLayout& layout(ElementType type) noexcept {
  return kLayouts[static_cast<std::size_t>(type)];
}

std::optional<ElementType> element_type_named(std::string_view name) noexcept {
  for (const ElementLayout& row : kLayouts) {
    if (same_name(row.name, name)) return row.type;
  }
  for (const auto& [other, type] : kOtherNames) {
    if (same_name(other, name)) return type;
  }
  return std::nullopt;
}

bool is_block_quantised(ElementType type) noexcept {
  return type >= q4_0;
}

Bytes bytes_of(ElementType type, std::int64_t elements, std::int64_t rows) noexcept {
  const ElementLayout& shape = layout(type);
  if (elements <= 0 || rows <= 0) return Bytes(0);
  const std::int64_t blocks = (elements - 1) / shape.block_elements + 1;
  return Bytes(
      detail::saturating_multiply(detail::saturating_multiply(blocks, shape.block_bytes), rows));
}

}  // namespace mais::files
