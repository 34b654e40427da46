// An operator graph as JSON:
//
//   {"spaces":    [{"name": "gpu", "alignment": 256, "weight": 1}],          (may be left out)
//    "bounds":    {"N": 8, "T": {"most": 500, "buckets": [128, 512]}},       (of named dimensions)
//    "tensors":   [{"name": "x", "size": 4096, "space": "gpu", "keep": false},
//                  {"name": "h", "shape": ["N", 64], "element": 4},
//                  {"name": "v", "view_of": "x"}],
//    "operators": [{"name": "matmul", "inputs": ["x"], "outputs": ["h"], "after": ["other"],
//                   "workspace": 1024, "in_place": [["x", "h"]], "seconds": 1e-4}]}
//
// `workspace` is bytes in the first space, or a list of {"size", "space"}.
#pragma once

#include <string_view>

#include "mais/graph/operator_graph.hpp"
#include "mais/result.hpp"

namespace mais::files {

// Errors: parse_error (not JSON; with `name` and the byte), invalid_argument (with the path of the
// field: what is there and what would be right). Unknown fields are refused, so that a misspelt one
// does not go unnoticed. O(bytes).
Result<graph::OperatorGraph> parse_operator_graph_json(std::string_view text,
                                                       std::string_view name = "json");

}  // namespace mais::files
