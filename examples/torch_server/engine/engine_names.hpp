// What these engines use of the server that they belong to.
#pragma once

#include "budgets.hpp"
#include "byte_tokenizer.hpp"
#include "engine.hpp"

namespace torch_server {

using server::ByteTokenizer;
using server::Engine;
using server::EngineBudgets;
using server::EngineInfo;
using server::EngineMemory;
using server::SequenceView;
using server::StepResult;
using server::Token;
using server::Tokenizer;

}  // namespace torch_server
