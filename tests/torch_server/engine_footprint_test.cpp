// What a model's files say that it will need, beside what the engine really takes: weights and
// state at once, scratch memory after a hundred steps of learning.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "mais/core/calibration.hpp"
#include "mais/core/workspace_fit.hpp"
#include "mais/files/footprint.hpp"
#include "mais/files/model_folder.hpp"
#include "safetensors_weights.hpp"
#include "safetensors_writer.hpp"
#include "shape_config.hpp"
#include "small_decoder.hpp"

namespace torch_server {
namespace {

using mais::Bytes;
using mais::Tokens;

// The most that was taken at once since the last reset.
class PeakResource final : public std::pmr::memory_resource {
 public:
  explicit PeakResource(std::pmr::memory_resource& upstream) : upstream_(upstream) {}
  Bytes peak() const { return Bytes(peak_); }
  void reset() { peak_ = used_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const memory = upstream_.allocate(bytes, alignment);
    used_ += static_cast<std::int64_t>(bytes);
    peak_ = std::max(peak_, used_);
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    used_ -= static_cast<std::int64_t>(bytes);
    upstream_.deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource& upstream_;
  std::int64_t used_ = 0, peak_ = 0;
};

// A model on disk, as people have it.
class EngineFootprint : public ::testing::Test {
 protected:
  EngineFootprint() {
    std::filesystem::create_directories(folder_);
    const Shape shape = small_shape();
    std::ofstream(folder_ / "config.json")
        << R"({"model_type": "llama", "hidden_act": "silu", "torch_dtype": "float32",)"
        << R"("vocab_size": )" << shape.vocabulary << R"(, "hidden_size": )" << shape.hidden
        << R"(, "num_hidden_layers": )" << shape.layers << R"(, "num_attention_heads": )"
        << shape.heads << R"(, "num_key_value_heads": )" << shape.kv_heads << R"(, "head_dim": )"
        << shape.head_width << R"(, "intermediate_size": )" << shape.feed_forward
        << R"(, "max_position_embeddings": )" << shape.max_context << "}";
    const auto source = random_weights(1);
    SafetensorsWriter::write((folder_ / "model.safetensors").string(),
                             SafetensorsWriter::tensors(shape), *source, "F32");
  }
  ~EngineFootprint() override { std::filesystem::remove_all(folder_); }

  mais::files::Footprint predicted() const {
    const auto model = mais::files::open_model(folder_.string());
    EXPECT_TRUE(model) << model.error().message;
    auto footprint = mais::files::footprint(model->architecture,
                                            {.kv_type = mais::files::ElementType::f32,
                                             .activation_type = mais::files::ElementType::f32},
                                            &*model->file);
    EXPECT_TRUE(footprint) << footprint.error().message;
    return *footprint;
  }
  std::unique_ptr<Engine> loaded(SmallBudgets& budgets,
                                 std::pmr::memory_resource& workspace) const {
    auto options = small_options(budgets, kPages);
    options.budgets.workspace = &workspace;
    auto engine = make_decoder(std::move(options), *safetensors_weights(folder_.string()));
    EXPECT_TRUE((*engine)->load());
    return std::move(*engine);
  }

  static constexpr std::int64_t kPages = 31 * 32;
  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("mais_footprint_" + std::to_string(::getpid()));
};

TEST_F(EngineFootprint, WeightsAndStateAreWhatTheFilesSay) {
  const auto footprint = predicted();
  EXPECT_TRUE(footprint.exact);
  SmallBudgets budgets;
  PeakResource workspace(*budgets.budgets().workspace);
  const auto engine = loaded(budgets, workspace);
  const auto percent = [](Bytes measured, Bytes predicted) {
    return 100.0 * static_cast<double>(measured.count()) / static_cast<double>(predicted.count());
  };
  const double weights = percent(engine->memory().weights.used, footprint.weights);
  const Bytes pages = footprint.model.state_bytes(Tokens(kPages * 8), mais::TokensPerBlock(8));
  const double state = percent(engine->memory().state.used, pages);
  std::cout << "weights " << weights << " % of what was predicted, state " << state << " %\n";
  EXPECT_GE(weights, 100);
  EXPECT_LE(weights, 103);
  EXPECT_GE(state, 100);
  EXPECT_LE(state, 103);
}

TEST_F(EngineFootprint, ScratchMemoryIsLearnedAndItsBoundIsNeverExceeded) {
  const auto footprint = predicted();
  SmallBudgets budgets;
  PeakResource workspace(*budgets.budgets().workspace);
  const auto engine = loaded(budgets, workspace);
  mais::core::WorkspaceFit fit(footprint.model.workspace);
  mais::core::UpperBound bound({.confidence = 0.999});  // to exceed it is a failed step
  std::uint64_t bits = 1;
  const auto random = [&](std::int64_t below) {
    bits = bits * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int64_t>((bits >> 33) % static_cast<std::uint64_t>(below));
  };
  double off = 0, off_bytes = 0, bytes = 0, reserved = 0;
  int beyond = 0;
  constexpr int kLearning = 300, kSteps = 600;
  for (int i = 0; i < kSteps; ++i) {
    HandDrivenSteps steps(*engine);
    std::vector<Sequence> sequences(static_cast<std::size_t>(1 + random(31)));
    std::int64_t tokens = 0;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const std::int64_t length = 1 + (random(4) == 0 ? random(200) : random(8));
      sequences[s] = {.tokens = prompt_of(static_cast<std::size_t>(length), bits),
                      .pages = pages_from(static_cast<std::uint32_t>(s * 32), 256)};
      tokens += length;
      steps.add(sequences[s], length);
    }
    const auto count = static_cast<std::int64_t>(sequences.size());
    const auto predicted =
        static_cast<double>(fit.predict(Tokens(tokens), count, Tokens(tokens)).count());
    workspace.reset();
    ASSERT_EQ(steps.run(), StepResult::Outcome::done) << steps.result.error;
    const auto measured = static_cast<double>(workspace.peak().count());
    if (i >= kLearning) {
      off += std::abs(predicted / measured - 1) / (kSteps - kLearning);
      off_bytes += std::abs(predicted - measured);
      bytes += measured;
      reserved += predicted * bound.factor() / measured / (kSteps - kLearning);
      beyond += measured > predicted * bound.factor() ? 1 : 0;
    }
    if (fit.learned()) bound.observe(measured / predicted);
    fit.observe(Tokens(tokens), count, Tokens(tokens), workspace.peak());
  }
  std::cout << "scratch memory: predicted within " << 100 * off_bytes / bytes << " % of the bytes, "
            << 100 * off << " % step by step; reserved " << 100 * reserved << " %, exceeded "
            << beyond << " times of " << kSteps - kLearning << "\n";
  // Small steps, which take little, are a staircase of tiles; they are the larger part of the
  // second.
  EXPECT_LE(off_bytes / bytes, 0.03);
  EXPECT_LE(off, 0.05);
  EXPECT_EQ(beyond, 0);
}

}  // namespace
}  // namespace torch_server
