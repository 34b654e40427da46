#include "mais/files/model_folder.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "mais/files/gguf.hpp"
#include "mais/files/gguf_architecture.hpp"
#include "mais/files/safetensors.hpp"

namespace mais::files {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 100'000;

Result<ModelOnDisk> with_gguf(const std::string& path, const ConfigOptions& options,
                              const ReadLimits& limits) {
  Result<ModelFile> file = read_gguf(path, limits);
  if (!file) return tl::unexpected<Error>(file.error());
  Result<Architecture> architecture = gguf_architecture(*file, options);
  if (!architecture) return tl::unexpected<Error>(architecture.error());
  return ModelOnDisk{std::move(*architecture), std::move(*file)};
}

Result<ModelOnDisk> with_safetensors(const std::string& path, const ConfigOptions& options,
                                     const ReadLimits& limits) {
  Result<ModelFile> file = read_safetensors(path, limits);
  if (!file) return tl::unexpected<Error>(file.error());
  const std::string config = (fs::path(path).parent_path() / "config.json").string();
  std::error_code ignored;
  if (!fs::exists(config, ignored)) {
    return fail(ErrorCode::not_found, path +
                                          ": there is no config.json beside it; safetensors "
                                          "files hold no architecture, so it is needed");
  }
  Result<Architecture> architecture = read_hf_config(config, options);
  if (!architecture) return tl::unexpected<Error>(architecture.error());
  file->architecture = architecture->family;
  return ModelOnDisk{std::move(*architecture), std::move(*file)};
}

// Later parts of a split are found from its first.
bool is_later_part(const std::string& name) {
  const auto of = name.rfind("-of-");
  return of != std::string::npos && of >= 5 && name.substr(of - 5, 5) != "00001";
}

Result<ModelOnDisk> from_folder(const fs::path& folder, const ConfigOptions& options,
                                const ReadLimits& limits) {
  std::error_code error;
  std::vector<std::string> gguf, safetensors;
  std::size_t entries = 0;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (++entries > kMostEntries) break;
    const std::string name = at->path().filename().string();
    if (name.ends_with(".gguf") && !is_later_part(name)) gguf.push_back(name);
    if (name.ends_with(".safetensors")) safetensors.push_back(name);
  }
  if (error) return fail(ErrorCode::io_error, folder.string() + ": cannot be listed");
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  const auto several = [&](std::vector<std::string> names, const char* remedy) {
    std::sort(names.begin(), names.end());
    std::string list;
    for (std::size_t i = 0; i < std::min<std::size_t>(8, names.size()); ++i) {
      list += (i > 0 ? ", " : "") + names[i];
    }
    return fail(ErrorCode::invalid_argument,
                folder.string() + ": holds " + std::to_string(names.size()) + " models (" + list +
                    (names.size() > 8 ? ", ..." : "") + "); " + remedy);
  };
  for (const char* name : {"model.safetensors.index.json", "model.safetensors"}) {
    if (fs::exists(folder / name, error)) return with_safetensors(path(name), options, limits);
  }
  if (safetensors.size() == 1) return with_safetensors(path(safetensors[0]), options, limits);
  if (safetensors.size() > 1) return several(safetensors, "shards need an index, or name one file");
  if (gguf.size() == 1) return with_gguf(path(gguf[0]), options, limits);
  if (gguf.size() > 1) return several(gguf, "name one of them");
  if (!fs::exists(folder / "config.json", error)) {
    return fail(ErrorCode::not_found,
                folder.string() +
                    ": holds no model; a .gguf file, .safetensors files with a "
                    "config.json, or a config.json alone is needed");
  }
  Result<Architecture> architecture = read_hf_config(path("config.json"), options);
  if (!architecture) return tl::unexpected<Error>(architecture.error());
  return ModelOnDisk{std::move(*architecture), {}};
}

}  // namespace

Result<ModelOnDisk> open_model(const std::string& path, const ConfigOptions& options,
                               const ReadLimits& limits) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail(ErrorCode::not_found, path + ": there is no such file or folder");
  }
  if (fs::is_directory(path, error)) return from_folder(path, options, limits);
  if (path.ends_with(".gguf")) return with_gguf(path, options, limits);
  if (path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json")) {
    return with_safetensors(path, options, limits);
  }
  if (path.ends_with(".json")) {
    Result<Architecture> architecture = read_hf_config(path, options);
    if (!architecture) return tl::unexpected<Error>(architecture.error());
    return ModelOnDisk{std::move(*architecture), {}};
  }
  if (path.ends_with(".onnx")) {
    return fail(ErrorCode::invalid_argument,
                path +
                    ": an ONNX model has operators but no published configuration, so its state is "
                    "not known; the command arena plans its memory");
  }
  return fail(ErrorCode::invalid_argument,
              path + ": is neither .gguf, .safetensors, .json nor a folder with such files");
}

}  // namespace mais::files
