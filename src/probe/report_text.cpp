// The report as a tree that a person reads without a manual.
#include <algorithm>
#include <cstdio>

#include "mais/probe/report.hpp"
#include "probe/wording.hpp"

namespace mais::probing {

namespace {

class Tree {
 public:
  void line(const std::string& text) { text_.append(text).append("\n"); }
  // A row of two columns, the first so wide.
  void row(std::size_t depth, std::size_t width, const std::string& left,
           const std::string& right) {
    std::string text(depth * 2, ' ');
    text += left;
    if (!right.empty()) {
      if (left.size() < width) text.append(width - left.size(), ' ');
      text += "  " + right;
    }
    line(text);
  }
  std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

constexpr std::size_t kWidth = 12;

void show_space(Tree& tree, const MachineReport& report, std::size_t index) {
  const SpaceReport& space = report.spaces[index];
  tree.row(1, kWidth, space.name, space.what);
  tree.row(3, kWidth, "usable", size_text(space.usable));
  tree.row(3, kWidth, "total",
           size_text(space.total) + ", free " + (space.free ? size_text(*space.free) : "unknown"));
  tree.row(3, kWidth, "limit", space.binds);
  tree.row(3, kWidth, "bandwidth", to_text(space.bandwidth));
  if (space.latency) tree.row(3, kWidth, "latency", duration_text(*space.latency));
  for (const DeviceReport& device : report.devices) {
    if (device.space.value() != index) continue;
    std::string what = device.what;
    if (!device.pci.empty()) what += ", PCI " + device.pci;
    for (const int node : device.near_nodes) {
      if (device.kind == DeviceKind::gpu) what += ", next to NUMA node " + std::to_string(node);
    }
    if (device.shares_host_memory) what += ", computes out of this memory: it has none of its own";
    tree.row(3, kWidth, device.name, what);
    if (device.multiprocessors > 0) {
      std::string built =
          counted(static_cast<std::size_t>(device.multiprocessors), "multiprocessor");
      if (device.l2 > Bytes(0)) built += ", L2 cache " + size_text(device.l2);
      if (device.capability.first > 0) {
        built += ", compute capability " + std::to_string(device.capability.first) + "." +
                 std::to_string(device.capability.second);
      }
      tree.row(5, kWidth, "built of", built);
    }
    if (!device.uuid.empty()) tree.row(5, kWidth, "uuid", device.uuid);
    if (!device.also.empty()) tree.row(5, kWidth, "also seen as", joined(device.also, ", "));
    if (device.health != GpuHealth::good) {
      tree.row(5, kWidth, "health", std::string(to_string(device.health)) + ": " + device.trouble);
    }
    if (device.power_watts) {
      char power[64];
      std::snprintf(power, sizeof power, "%.0f W", *device.power_watts);
      std::string text = power;
      if (device.power_limit_watts) {
        std::snprintf(power, sizeof power, " of %.0f W", *device.power_limit_watts);
        text += power;
      }
      tree.row(5, kWidth, "power", text);
    }
    for (const GpuProcess& process : device.processes) {
      tree.row(5, kWidth, "process",
               std::to_string(process.pid) + " holds " +
                   (process.used ? size_text(*process.used) : "an unknown amount"));
    }
  }
}

void show_links(Tree& tree, const MachineReport& report) {
  if (report.links.empty()) return;
  std::size_t width = 0;
  const auto name = [&](const LinkReport& link) {
    return report.spaces[link.from.value()].name + " > " + report.spaces[link.to.value()].name;
  };
  for (const LinkReport& link : report.links) width = std::max(width, name(link).size());
  tree.line("Links");
  for (const LinkReport& link : report.links) {
    std::string text = to_text(link.bandwidth);
    if (link.latency) text += ", latency " + duration_text(*link.latency);
    tree.row(1, width, name(link), text);
  }
}

void show_host(Tree& tree, const MachineReport& report) {
  tree.line("What the host may use, smallest first");
  for (const Bound& bound : report.budget.bounds) {
    tree.row(1, kWidth, size_text(bound.headroom), to_text(bound));
  }
  tree.row(1, kWidth, "pinned",
           report.lockable ? "at most " + size_text(*report.lockable) + " may be locked"
                           : "locked memory has no limit of its own");
  for (const HugePages& pages : report.huge_pages) {
    tree.row(1, kWidth, "huge pages",
             std::to_string(pages.free) + " of " + std::to_string(pages.total) + " of " +
                 size_text(pages.size) + " free");
  }
  if (report.pressure) {
    char text[96];
    std::snprintf(text, sizeof text, "some tasks waited for memory %.2f %% of the last 10 s",
                  report.pressure->some_10s * 100);
    tree.row(1, kWidth, "pressure", text);
  }
}

}  // namespace

std::string to_text(const MachineReport& report) {
  Tree tree;
  std::vector<std::string> parts;
  if (report.packages > 0) parts.push_back(counted(report.packages, "package"));
  if (report.cores > 0) parts.push_back(counted(report.cores, "core"));
  if (report.processing_units > 0) parts.push_back(counted(report.processing_units, "thread"));
  std::size_t gpus = 0;
  for (const DeviceReport& device : report.devices) gpus += device.kind == DeviceKind::gpu ? 1 : 0;
  parts.push_back(gpus == 0 ? "no usable GPU" : counted(gpus, "GPU"));
  tree.line("Machine: " + joined(parts, ", "));
  for (std::size_t i = 0; i < report.spaces.size(); ++i) show_space(tree, report, i);
  show_links(tree, report);
  show_host(tree, report);
  if (!report.unused.empty()) {
    tree.line("Seen, not used");
    for (const UnusedGpu& gpu : report.unused) {
      tree.row(1, kWidth + 4, gpu.pci, gpu.name + ": " + gpu.why);
    }
  }
  tree.line("Sources");
  for (const SourceStatus& source : report.sources) {
    tree.row(1, kWidth + 1, source.name, (source.available ? "" : "missing: ") + source.detail);
  }
  if (!report.notes.empty()) {
    tree.line("Assumed, left out, not known");
    for (const std::string& note : report.notes) tree.line("  - " + note);
  }
  return std::move(tree).take();
}

}  // namespace mais::probing
