#include "mais/probe/record.hpp"

#include <utility>

#include "probe/record_fields.hpp"

namespace mais::probing {

namespace {

constexpr std::string_view kFirstLine = "mais machine record 1";

template <class Archive>
void describe(Archive& archive, SourceStatus& status) {
  archive.field("source", status.name);
  archive.field("available", status.available);
  archive.field("detail", status.detail);
}

template <class Archive>
void describe(Archive& archive, FreeAndTotal& memory) {
  archive.field("free", memory.free);
  archive.field("total", memory.total);
}

// An optional struct, as a list of none or one.
template <class Archive>
void describe_memory(Archive& archive, std::optional<FreeAndTotal>& memory) {
  std::vector<FreeAndTotal> list;
  if (memory) list.push_back(*memory);
  archive.each("memory", list, [](auto& inner, FreeAndTotal& m) { describe(inner, m); });
  if (Archive::kReads && !list.empty()) memory = list.front();
}

template <class Archive>
void describe(Archive& archive, CudaDevice& device) {
  archive.field("ordinal", device.ordinal);
  archive.field("name", device.name);
  archive.field("uuid", device.uuid);
  archive.field("pci", device.pci);
  archive.field("total", device.total);
  archive.field("bus_width", device.bus_width);
  archive.field("memory_clock", device.memory_clock);
  archive.field("l2", device.l2);
  archive.field("multiprocessors", device.multiprocessors);
  archive.field("capability_major", device.capability_major);
  archive.field("capability_minor", device.capability_minor);
  archive.field("integrated", device.integrated);
  archive.field("host_page_tables", device.host_page_tables);
  archive.field("host_node", device.host_node);
  archive.field("memory_node", device.memory_node);
  archive.each("peer", device.peers, [](auto& inner, int& peer) { inner.field("ordinal", peer); });
  describe_memory(archive, device.memory);
}

template <class Archive>
void describe(Archive& archive, CudaReading& reading) {
  describe(archive, reading.status);
  archive.field("driver_version", reading.driver_version);
  archive.each("device", reading.devices, [](auto& inner, CudaDevice& d) { describe(inner, d); });
}

template <class Archive>
void describe(Archive& archive, NvmlDevice& device) {
  archive.field("uuid", device.uuid);
  archive.field("pci", device.pci);
  archive.field("name", device.name);
  archive.field("mig", device.mig);
  archive.field("mig_parent", device.mig_parent);
  describe_memory(archive, device.memory);
  archive.each("process", device.processes, [](auto& inner, GpuProcess& process) {
    inner.field("pid", process.pid);
    inner.field("used", process.used);
  });
  bool lost = device.health == GpuHealth::lost, unhealthy = device.health == GpuHealth::unhealthy;
  archive.field("lost", lost);
  archive.field("unhealthy", unhealthy);
  if (Archive::kReads) {
    device.health = lost ? GpuHealth::lost : unhealthy ? GpuHealth::unhealthy : GpuHealth::good;
  }
  archive.field("trouble", device.trouble);
  archive.field("power_watts", device.power_watts);
  archive.field("power_limit_watts", device.power_limit_watts);
  archive.field("ecc", device.ecc);
  archive.field("uncorrected_errors", device.uncorrected_errors);
  archive.field("pcie_generation", device.pcie_generation);
  archive.field("pcie_width", device.pcie_width);
  archive.each("nvlink", device.nvlinks, [](auto& inner, NvLink& link) {
    inner.field("remote", link.remote);
    inner.field("to_switch", link.to_switch);
    inner.field("version", link.version);
  });
}

template <class Archive>
void describe(Archive& archive, NvmlReading& reading) {
  describe(archive, reading.status);
  archive.each("device", reading.devices, [](auto& inner, NvmlDevice& d) { describe(inner, d); });
}

template <class Archive>
void describe(Archive& archive, std::vector<Measurement>& measured) {
  archive.each("rate", measured, [](auto& inner, Measurement& m) {
    inner.field("place", m.place);
    inner.field("least", m.rate.min.value);
    inner.field("median", m.rate.median.value);
    inner.field("most", m.rate.max.value);
    inner.field("how", m.rate.how);
    std::int64_t nanoseconds = m.latency.count();
    inner.field("latency_ns", nanoseconds);
    m.latency = Duration(nanoseconds);
    m.rate.source = FigureSource::measured;
  });
}

using Lines = std::vector<FieldReader::Line>;

struct Section {
  std::size_t number = 0;
  std::string_view title;
  Lines lines;
};

// Splits a text into sections; the bars are taken off.
Result<std::vector<Section>> sections_of(std::string_view text, std::string_view origin) {
  std::vector<Section> sections;
  LineWalk lines(text);
  std::string_view line;
  if (!lines.next(line) || trimmed(line) != kFirstLine) {
    return bad_line(origin, 1,
                    shown(line) + " is not \"" + std::string(kFirstLine) + "\", the first line");
  }
  while (lines.next(line)) {
    if (line.starts_with('|')) {
      if (sections.empty()) {
        return bad_line(origin, lines.number(), "text stands before the first section");
      }
      sections.back().lines.push_back({lines.number(), line.substr(1)});
    } else if (!trimmed(line).empty() && !line.starts_with('#')) {
      sections.push_back({lines.number(), trimmed(line), {}});
    }
  }
  return sections;
}

std::string text_of(const Lines& lines) {
  std::string text;
  for (const FieldReader::Line& line : lines) text.append(line.text).append("\n");
  return text;
}

// The text of a file with a bar before each line.
std::string barred(std::string_view text) {
  std::string result;
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) result.append("|").append(line).append("\n");
  return result;
}

std::optional<Error> check(const std::vector<Measurement>& measured, std::string_view origin,
                           std::size_t line) {
  for (const Measurement& m : measured) {
    const bool rising = m.rate.min.value > 0 && m.rate.min <= m.rate.median &&
                        m.rate.median <= m.rate.max && m.latency >= Duration::zero();
    if (!rising || m.place.empty()) {
      return bad_line(origin, line,
                      "the rate of " + shown(m.place) +
                          " needs a place, 0 < least <= median <= most, and no negative latency")
          .value();
    }
  }
  return std::nullopt;
}

template <class T>
std::optional<Error> read_fields(const Section& section, std::string_view origin, T& value) {
  std::optional<Error> fault;
  {
    FieldReader reader(section.lines, origin, fault);
    describe(reader, value);
  }
  return fault;
}

template <class T>
std::string fields_of(const T& value) {
  FieldWriter writer;
  describe(writer, const_cast<T&>(value));
  return writer.text();
}

}  // namespace

Result<MachineRecord> parse_record(std::string_view text, std::string_view origin) {
  const auto sections = sections_of(text, origin);
  if (!sections) return tl::unexpected<Error>(sections.error());
  MachineRecord record;
  record.cuda.status = {"CUDA driver", false, "not in the record"};
  record.nvml.status = {"NVML", false, "not in the record"};
  std::vector<std::string_view> seen;
  for (const Section& section : *sections) {
    for (const std::string_view title : seen) {
      if (title != section.title) continue;
      return bad_line(origin, section.number, shown(title) + " stands here twice");
    }
    seen.push_back(section.title);
    std::string_view rest = section.title;
    const std::string_view kind = take_word(rest);
    const std::string_view path = trimmed(rest);
    std::optional<Error> fault;
    if (kind == "file" && path.starts_with('/')) {
      record.files.emplace(path, text_of(section.lines));
    } else if (section.title == "hwloc-xml") {
      record.hwloc_xml = text_of(section.lines);
    } else if (section.title == "cuda") {
      fault = read_fields(section, origin, record.cuda);
    } else if (section.title == "nvml") {
      fault = read_fields(section, origin, record.nvml);
    } else if (section.title == "measured") {
      fault = read_fields(section, origin, record.measured);
      if (!fault) fault = check(record.measured, origin, section.number);
    } else {
      return bad_line(origin, section.number,
                      shown(section.title) +
                          " is no section; there are file /path, hwloc-xml, cuda, nvml, measured");
    }
    if (fault) return tl::unexpected<Error>(*fault);
  }
  return record;
}

std::string to_text(const MachineRecord& record) {
  std::string text = std::string(kFirstLine) + "\n";
  for (const auto& [path, content] : record.files) {
    text.append("file ").append(path).append("\n").append(barred(content));
  }
  if (!record.hwloc_xml.empty()) text.append("hwloc-xml\n").append(barred(record.hwloc_xml));
  text.append("cuda\n").append(fields_of(record.cuda));
  text.append("nvml\n").append(fields_of(record.nvml));
  if (!record.measured.empty()) text.append("measured\n").append(fields_of(record.measured));
  return text;
}

Result<std::vector<Measurement>> parse_measurements(std::string_view text,
                                                    std::string_view origin) {
  auto record = parse_record(text, origin);
  if (!record) return tl::unexpected<Error>(record.error());
  return std::move(record->measured);
}

std::string to_text(const std::vector<Measurement>& measured) {
  return std::string(kFirstLine) + "\nmeasured\n" + fields_of(measured);
}

}  // namespace mais::probing
