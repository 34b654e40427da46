#include "loaded_model.hpp"

#include <filesystem>
#include <llama.h>
#include <malloc.h>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace llama_server {

namespace {

using mais::Bytes;
using mais::ErrorCode;
using mais::files::ElementType;

std::optional<ggml_type> type_of(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return GGML_TYPE_F32;
    case ElementType::f16:
      return GGML_TYPE_F16;
    case ElementType::bf16:
      return GGML_TYPE_BF16;
    case ElementType::q8_0:
      return GGML_TYPE_Q8_0;
    case ElementType::q4_0:
      return GGML_TYPE_Q4_0;
    default:
      return std::nullopt;
  }
}

// Newer versions say in `load_mode` what older ones said in `use_mmap`; some do not let say how
// many tokens of a step have logits.
void do_not_map(auto& params) {
  if constexpr (requires { params.load_mode; }) {
    params.load_mode = decltype(params.load_mode){};  // none
  } else {
    params.use_mmap = false;
  }
}
void limit_outputs(auto& params, std::int32_t most) {
  if constexpr (requires { params.n_outputs_max; }) {
    params.n_outputs_max = static_cast<std::uint32_t>(most);
  }
}

// Weights are read into memory of our own, once: pages of a mapped file come and go as the system
// likes, and weights packed anew would be there twice while they are.
llama_model_params model_params(Extent extent) {
  static ggml_backend_dev_t no_devices[] = {nullptr};
  llama_model_params params = llama_model_default_params();
  params.devices = no_devices;
  params.n_gpu_layers = 0;
  do_not_map(params);
  params.use_extra_bufts = false;
  params.no_alloc = extent == Extent::rehearsal;
  params.vocab_only = extent == Extent::vocabulary;
  return params;
}

llama_context_params context_params(const Settings& settings, ggml_type kv_type) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(settings.cells);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(settings.step_tokens.count());
  params.n_seq_max = static_cast<std::uint32_t>(settings.sequences);
  limit_outputs(params, settings.sequences);
  params.n_threads = params.n_threads_batch = settings.threads;
  params.type_k = params.type_v = kv_type;
  params.flash_attn_type =
      settings.fused_attention ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.kv_unified = true;  // any cell for any sequence
  params.swa_full = true;    // what lies behind a window stays: a cell is a token of all layers
  params.offload_kqv = params.op_offload = false;
  params.no_perf = true;
  return params;
}

mais::Result<void> check_kind(const llama_model* model, const std::string& path) {
  const char* kind = llama_model_is_recurrent(model)   ? "is recurrent"
                     : llama_model_is_hybrid(model)    ? "has recurrent layers"
                     : llama_model_is_diffusion(model) ? "generates by diffusion"
                     : llama_model_has_encoder(model)  ? "has an encoder"
                     : !llama_model_has_decoder(model) ? "has no decoder"
                                                       : nullptr;
  if (kind == nullptr) return {};
  return mais::fail(ErrorCode::unavailable,
                    path + ": it " + kind +
                        "; only decoders whose state is a cell for each token "
                        "are served");
}

}  // namespace

Bytes tensor_bytes(const LoadedModel& loaded) {
  return Bytes(static_cast<std::int64_t>(llama_model_size(loaded.model())));
}

Bytes heap_in_use() noexcept {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  const struct mallinfo2 info = mallinfo2();
  return Bytes(static_cast<std::int64_t>(info.uordblks + info.hblkhd));
#else
  return Bytes(0);
#endif
}

void LoadedModel::Free::operator()(llama_model* model) const noexcept {
  llama_model_free(model);
}
void LoadedModel::Free::operator()(llama_context* context) const noexcept {
  llama_free(context);
}

mais::Result<LoadedModel> LoadedModel::load(const Settings& settings, Extent extent) {
  static std::once_flag once;
  std::call_once(once, llama_backend_init);
  if (std::error_code ignored; !std::filesystem::is_regular_file(settings.path, ignored)) {
    return mais::fail(ErrorCode::not_found, settings.path + ": there is no such file");
  }
  const auto kv_type = type_of(settings.kv_type);
  if (!kv_type) {
    return mais::fail(ErrorCode::invalid_argument,
                      "a cache of " + std::string(to_string(settings.kv_type)) +
                          " is not known; f32, f16, bf16, q8_0 and q4_0 are");
  }
  const BufferLog log;
  const auto refused = [&](const char* what) {
    return mais::fail(ErrorCode::parse_error,
                      settings.path + ": llama.cpp " + what + ": " + log.complaint());
  };
  LoadedModel loaded;
  const Bytes before = heap_in_use();
  loaded.model_.reset(llama_model_load_from_file(settings.path.c_str(), model_params(extent)));
  if (!loaded.model_) return refused("does not load it");
  loaded.bookkeeping_.model = heap_in_use() - before;
  if (extent == Extent::vocabulary) return loaded;
  if (auto fine = check_kind(loaded.model(), settings.path); !fine) {
    return tl::unexpected<mais::Error>(std::move(fine.error()));
  }
  const Bytes between = heap_in_use();
  loaded.context_.reset(llama_init_from_model(loaded.model(), context_params(settings, *kv_type)));
  if (!loaded.context_) return refused("makes no context for it");
  loaded.bookkeeping_.context = heap_in_use() - between;
  loaded.sizes_ = log.sizes();
  if (extent == Extent::rehearsal) return loaded;
  loaded.bookkeeping_.model -= loaded.sizes_.weights;
  loaded.bookkeeping_.context -= loaded.sizes_.state + loaded.sizes_.compute;
  return loaded;
}

}  // namespace llama_server
