// The tensors of an ONNX model, also of one that keeps them in other files. Reads the protocol
// buffers itself and steps over the data, so that it needs no library and no weight is read; for
// the operators see operator_graph_onnx.hpp. Source: onnx.proto3.
#pragma once

#include <string>
#include <string_view>

#include "mais/files/model_file.hpp"

namespace mais::files {

// Initializers and constants of the graph and of the bodies of its nodes (If, Loop), each name once
// with the number of its body before it ("#2/w"). ModelFile::parts are the model and the files of
// external data, which must lie in its folder and be long enough. Texts are not counted. Errors:
// not_found, io_error (path); parse_error (file, byte, what would be right): no protocol buffer,
// nested more than 32 deep, data that is not as long as type and shape say, sparse initializers,
// data outside of the folder, more than `limits`. O(bytes without data).
Result<ModelFile> read_onnx_model(const std::string& path, const ReadLimits& limits = {});

// The same for a model in memory; external files are named, and not looked at.
Result<ModelFile> parse_onnx_model(std::string_view bytes, std::string_view origin,
                                   const ReadLimits& limits = {});

}  // namespace mais::files
