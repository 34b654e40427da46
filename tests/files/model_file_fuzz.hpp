// What a fuzzer checks of the readers of model files, whoever calls it: any bytes give a model
// whose figures agree with each other, or one error of one line that names the file.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mais/files/footprint.hpp"
#include "mais/files/gguf.hpp"
#include "mais/files/gguf_architecture.hpp"
#include "mais/files/hf_config.hpp"
#include "mais/files/onnx_model.hpp"
#include "mais/files/safetensors.hpp"

namespace mais::files {

inline void hold(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "model file fuzz: %s\n", what.c_str());
  std::abort();
}

template <class T>
bool one_error_or(const Result<T>& read, bool of_a_file = true) {
  if (read) return true;
  const Error& error = read.error();
  hold(error.code == ErrorCode::parse_error || error.code == ErrorCode::not_found ||
           error.code == ErrorCode::invalid_argument,
       "an error of another kind: " + error.message);
  hold(!of_a_file || error.message.starts_with("fuzz:"), "no file is named: " + error.message);
  hold(error.message.find('\n') == std::string::npos, "more than one line: " + error.message);
  return false;
}

inline void check_footprint(const Architecture& architecture, const ModelFile* file) {
  FootprintOptions options;
  options.tensor_parallel = 3;
  options.pipeline_parallel = 2;
  const Result<Footprint> print = footprint(architecture, options, file);
  if (!one_error_or(print, false)) return;
  hold(print->weights >= Bytes(0) && print->model.weights >= Bytes(0), "negative weights");
  hold(validate(print->model).empty(), to_string(validate(print->model)));
}

inline void check_model_file(const ModelFile& file, std::size_t size) {
  Bytes total;
  for (const TensorEntry& tensor : file.tensors) {
    hold(tensor.bytes >= Bytes(0) && tensor.offset <= size &&
             static_cast<std::uint64_t>(tensor.bytes.count()) <= size - tensor.offset,
         "a tensor beyond its file");
    total += tensor.bytes;
  }
  hold(static_cast<std::uint64_t>(total.count()) <= size, "tensors that overlap");
}

inline void fuzz_gguf(std::string_view bytes) {
  const Result<ModelFile> file = parse_gguf(bytes, "fuzz");
  if (!one_error_or(file)) return;
  check_model_file(*file, bytes.size());
  const Result<Architecture> architecture = gguf_architecture(*file, {.guess = true});
  if (one_error_or(architecture)) check_footprint(*architecture, &*file);
}

inline void fuzz_safetensors(std::string_view bytes) {
  const Result<ModelFile> file = parse_safetensors(bytes, "fuzz");
  if (one_error_or(file)) check_model_file(*file, bytes.size());
}

// Typed data is as long as its numbers, and data of other files is not here.
inline void fuzz_onnx_model(std::string_view bytes) {
  const Result<ModelFile> file = parse_onnx_model(bytes, "fuzz");
  if (!one_error_or(file)) return;
  for (const TensorEntry& tensor : file->tensors) {
    hold(tensor.bytes >= Bytes(0) && tensor.part < file->parts.size(), "a tensor of no file");
    hold(tensor.part > 0 || tensor.offset <= bytes.size(), "a tensor beyond its file");
    hold(tensor.part > 0 || tensor.elements() <= 2 * static_cast<std::int64_t>(bytes.size()),
         "more numbers than there are bytes for");
  }
}

inline void fuzz_hf_config(std::string_view bytes) {
  const Result<Architecture> architecture = parse_hf_config(bytes, "fuzz", {.guess = true});
  if (one_error_or(architecture)) check_footprint(*architecture, nullptr);
  one_error_or(parse_adapter_config(bytes, "fuzz"));
}

}  // namespace mais::files
