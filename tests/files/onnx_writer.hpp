// ONNX models made in tests without the ONNX library: fields of protocol buffers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mais::files {

class ProtoWriter {
 public:
  ProtoWriter& number(std::uint64_t field, std::uint64_t value) {
    varint(field << 3U);
    varint(value);
    return *this;
  }
  ProtoWriter& bytes(std::uint64_t field, std::string_view value) {
    varint(field << 3U | 2U);
    varint(value.size());
    text_ += value;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) text_ += static_cast<char>(value | 0x80U);
    text_ += static_cast<char>(value);
  }
  std::string text_;
};

// A TensorProto with raw data of zeros.
inline std::string onnx_tensor(std::string_view name, std::uint64_t type,
                               const std::vector<std::uint64_t>& shape, std::size_t bytes) {
  ProtoWriter tensor;
  for (const std::uint64_t length : shape) tensor.number(1, length);
  return tensor.number(2, type).bytes(8, name).bytes(9, std::string(bytes, '\0')).text();
}
// One whose data is in another file.
inline std::string onnx_external(std::string_view name, const std::vector<std::uint64_t>& shape,
                                 std::string_view location, std::string_view offset,
                                 std::string_view length) {
  ProtoWriter tensor;
  for (const std::uint64_t each : shape) tensor.number(1, each);
  tensor.number(2, 1).bytes(8, name).number(14, 1);
  tensor.bytes(13, ProtoWriter().bytes(1, "location").bytes(2, location).text());
  tensor.bytes(13, ProtoWriter().bytes(1, "offset").bytes(2, offset).text());
  tensor.bytes(13, ProtoWriter().bytes(1, "length").bytes(2, length).text());
  return tensor.text();
}
inline std::string onnx_graph(const std::vector<std::string>& tensors,
                              const std::string& node = {}) {
  ProtoWriter graph;
  if (!node.empty()) graph.bytes(1, node);
  for (const std::string& tensor : tensors) graph.bytes(5, tensor);
  return graph.bytes(2, "graph").text();
}
inline std::string onnx_model(const std::string& graph) {
  return ProtoWriter().number(1, 8).bytes(2, "test").bytes(7, graph).text();
}
// A node with an attribute that holds a graph.
inline std::string onnx_node(const std::string& body) {
  return ProtoWriter()
      .bytes(4, "If")
      .bytes(5, ProtoWriter().bytes(1, "then_branch").bytes(6, body).text())
      .text();
}

inline std::string small_onnx() {
  const std::string body = onnx_graph({onnx_tensor("w", 10, {3, 5}, 30)});
  return onnx_model(
      onnx_graph({onnx_tensor("w", 1, {4, 2}, 32), onnx_tensor("b", 7, {2}, 16)}, onnx_node(body)));
}

}  // namespace mais::files
