// What this engine uses of the server that it belongs to.
#pragma once

#include "engine.hpp"

namespace llama_server {

using server::ChatMessage;
using server::Engine;
using server::EngineInfo;
using server::EngineMemory;
using server::Sampler;
using server::Sampling;
using server::SequenceView;
using server::StepResult;
using server::Token;
using server::Tokenizer;

}  // namespace llama_server
