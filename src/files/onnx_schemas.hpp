// The operator schemas of the ONNX library, with two things changed in their shape inference.
//
// Further: shapes that nodes compute (Shape, Gather, Mul, Concat, Reshape) are values once the
// inputs are bounded, so every inference that reads a constant reads them too. The operators
// between them are evaluated here, in place of the library's own evaluation.
//
// Guarded: inference that a hostile model could make crash or use memory without end leaves the
// shape unknown (onnx_guards.hpp); so does a shape value too long to be one, as from a list that
// forty nodes double each.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include <onnx/defs/schema.h>

namespace mais::files {

class ShapeSchemas final : public onnx::ISchemaRegistry {
 public:
  const onnx::OpSchema* GetSchema(const std::string& op, int version,
                                  const std::string& domain) const override;

 private:
  mutable std::unordered_map<const onnx::OpSchema*, std::unique_ptr<onnx::OpSchema>> changed_;
};

}  // namespace mais::files
