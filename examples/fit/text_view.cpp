#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "views.hpp"

namespace fit {

namespace {

using namespace mais;
using namespace mais::files;

constexpr int kBar = 60;  // characters

std::string billions(std::int64_t parameters) {
  const auto n = static_cast<double>(parameters);
  return n >= 1e9 ? format("%.2f billion", n / 1e9) : format("%.1f million", n / 1e6);
}

Bytes bytes_of_part(const Report& report, Part part) {
  Bytes sum;
  for (const Row& row : report.rows) {
    if (row.part == part) sum += row.bytes;
  }
  return sum;
}

// The device as a bar; where more is needed than there is, what lies beyond its end is marked.
std::string bar(const Report& report, const Look& look) {
  const double whole =
      static_cast<double>(std::max({report.needed, report.capacity, Bytes(1)}).count());
  const int end = std::max(
      1, static_cast<int>(static_cast<double>(report.capacity.count()) / whole * kBar + 0.5));
  std::string text = "  [";
  int drawn = 0;
  double filled = 0;
  for (const Part part : {Part::weights, Part::state, Part::workspace}) {
    filled += static_cast<double>(bytes_of_part(report, part).count());
    const int until = std::min(kBar, static_cast<int>(filled / whole * kBar + 0.5));
    for (; drawn < until; ++drawn) {
      if (drawn == end) text += "|";
      text += drawn >= end ? look.beyond : look.parts[static_cast<int>(part)];
    }
  }
  for (; drawn < kBar; ++drawn) text += drawn >= end ? " " : look.free;
  return text + "]\n" +
         format("  %s weights  %s state (KV cache)  %s workspace  %s free", look.parts[0],
                look.parts[1], look.parts[2], look.free) +
         (report.fits ? "\n" : format("  %s beyond the end of the memory (|)\n", look.beyond));
}

std::string table(const Report& report) {
  constexpr const char* kNames[] = {"Weights", "State", "Workspace"};
  std::string text;
  const auto share = [&](Bytes bytes) {
    return 100.0 * static_cast<double>(bytes.count()) /
           static_cast<double>(std::max(report.capacity, Bytes(1)).count());
  };
  for (const Part part : {Part::weights, Part::state, Part::workspace}) {
    const Bytes sum = bytes_of_part(report, part);
    if (sum <= Bytes(0)) continue;
    text += format("  %-34s %12s %6.1f %%\n", kNames[static_cast<int>(part)],
                   size_text(sum).c_str(), share(sum));
    for (const Row& row : report.rows) {
      if (row.part != part) continue;
      text += format("    %-32s %12s\n", row.name.c_str(), size_text(row.bytes).c_str());
    }
  }
  text += format("  %-34s %12s %6.1f %%\n", "Needed", size_text(report.needed).c_str(),
                 share(report.needed));
  text +=
      report.fits
          ? format("  %-34s %12s\n", "Free", size_text(report.capacity - report.needed).c_str())
          : format("  %-34s %12s\n", "MISSING", size_text(report.needed - report.capacity).c_str());
  return text;
}

std::string limits(const Subject& subject, const Report& report) {
  if (subject.footprint.model.state.empty()) {
    return format("Largest batch            %s of %s tokens\n",
                  grouped(report.largest_parallel).c_str(), grouped(report.context).c_str());
  }
  std::string text;
  text += "Longest context          ";
  if (!report.largest_context) {
    text += "none: not even one token fits\n";
  } else {
    text += grouped(*report.largest_context) + " tokens";
    if (*report.largest_context == subject.most_context) {
      text += subject.model.architecture.max_context ? " (the model's own limit)" : " or more";
    }
    text += " with " + grouped(report.parallel) + " at once\n";
  }
  text += format("Most requests at once    %s with %s tokens each\n",
                 grouped(report.largest_parallel).c_str(), grouped(report.context).c_str());
  return text;
}

std::string times(const Report& report) {
  if (!report.speed) {
    return "Speed                    unknown: the machine's compute and bandwidth are not given\n";
  }
  const Speed& speed = *report.speed;
  std::string text;
  if (speed.batch_s > 0) {
    text += format("A batch takes            %s: %.0f requests/s, %.0f tokens/s\n",
                   time_text(speed.batch_s).c_str(),
                   static_cast<double>(report.parallel) / speed.batch_s, speed.tokens_per_second);
    return text + "(predicted; bound by " + speed.bound + "; nothing was measured)\n";
  }
  text += format("First token after        %s for a prompt of %s tokens\n",
                 time_text(speed.ttft_s).c_str(), grouped(report.prompt).c_str());
  text += format("Then a token every       %s alone: %.1f tokens/s\n",
                 time_text(speed.tpot_s).c_str(), 1 / speed.tpot_s);
  if (report.parallel > 1) {
    text += format("With %-5s at once       %s each: %.0f tokens/s together\n",
                   grouped(report.parallel).c_str(), time_text(speed.tpot_parallel_s).c_str(),
                   speed.tokens_per_second);
  }
  if (report.load_s)
    text += format("Loading                  %s\n", time_text(*report.load_s).c_str());
  return text + "(predicted; answers are bound by " + speed.bound + "; nothing was measured)\n";
}

}  // namespace

std::string format(const char* pattern, ...) {
  std::array<char, 1024> line{};
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line.data(), line.size(), pattern, arguments);
  va_end(arguments);
  return line.data();
}

std::string size_text(Bytes bytes) {
  const double gib = static_cast<double>(bytes.count()) / (1 << 30);
  if (gib >= 1) return format("%.2f GiB", gib);
  const double mib = gib * 1024;
  return mib >= 1 ? format("%.1f MiB", mib) : format("%.1f KiB", mib * 1024);
}

std::string time_text(double seconds) {
  if (seconds >= 1) return format("%.1f s", seconds);
  return format(seconds >= 0.01 ? "%.0f ms" : "%.2f ms", seconds * 1e3);
}

const Look& look_of(bool unicode) {
  static constexpr Look kBlocks{{"\u2588", "\u2593", "\u2592", "\u2591"}, "\u00b7", "!"};
  static constexpr Look kAscii{{"#", "=", "-", "+"}, ".", "!"};
  return unicode ? kBlocks : kAscii;
}

std::string about_model(const Subject& subject) {
  const Architecture& architecture = subject.model.architecture;
  const Footprint& print = subject.footprint;
  std::string text = print.model.name + ": " + architecture.family + ", " +
                     billions(print.parameters) + " parameters, " + size_text(print.weights);
  const double bits = 8.0 * static_cast<double>((print.weights - print.adapters).count()) /
                      static_cast<double>(std::max<std::int64_t>(1, print.parameters));
  text += format(" of weights (%.1f bits each)\n", bits);
  if (subject.model.file) {
    text += std::string(to_string(subject.model.file->format)) + ", " +
            std::to_string(subject.model.file->parts.size()) +
            (subject.model.file->parts.size() == 1 ? " file, " : " files, ") +
            grouped(static_cast<std::int64_t>(subject.model.file->tensors.size())) +
            " tensors: weights are exact\n";
  } else {
    text += "configuration only: weights are counted from it\n";
  }
  if (print.margin > 0) {
    text +=
        format("GUESS: the architecture is not known; give or take %.0f %%\n", print.margin * 100);
  }
  return text;
}

namespace {

std::string verdict(const Report& report) {
  std::string text = report.fits ? "it FITS" : "it does NOT fit";
  if (!report.fits && report.split) text += " one device, but runs SPLIT";
  if (!report.missed.empty()) text += "\nTOO SLOW: " + report.missed;
  return text;
}

}  // namespace

std::string in_detail(const Subject& subject, const Report& report, bool unicode) {
  std::string text = about_model(subject);
  text += "\nOn " + report.machine +
          (report.devices > 1
               ? ", each of " + std::to_string(report.devices) + " devices like " + report.device
               : " (" + report.device + ")") +
          ", " + size_text(report.capacity) + ", with " + grouped(report.parallel) +
          (report.parallel == 1 ? " request of " : " requests of ") + grouped(report.context) +
          " tokens: " + verdict(report) + "\n\n";
  text += bar(report, look_of(unicode)) + "\n" + table(report) + "\n";
  if (subject.model.architecture.max_context && report.context > subject.most_context) {
    text += "Beyond its limit         the model was made for " + grouped(subject.most_context) +
            " tokens\n";
  }
  if (report.fits || !report.split) text += limits(subject, report);
  if (report.fits && !report.split) text += times(report);
  if (report.split) text += (report.fits ? "\n" : "") + split_in_detail(report, unicode);
  if (!report.no_split.empty()) text += "\nNo split: " + report.no_split + "\n";
  if (!report.within.empty()) {
    text += "\nWhat would be within the bounds:\n";
    for (const Alternative& other : report.within) {
      text += format("  %-40s %s\n", other.what.c_str(), other.outcome.c_str());
    }
  } else if (!report.missed.empty()) {
    text += "\nNo fewer requests, shorter contexts or smaller types would be within the bounds.\n";
  }
  if (!report.alternatives.empty()) {
    text += report.split ? "\nWhat would fit instead:\n" : "\nWhat would fit:\n";
    for (const Alternative& other : report.alternatives) {
      text += format("  %-40s %s\n", other.what.c_str(), other.outcome.c_str());
    }
  } else if (!report.fits && !report.split) {
    text += "\nNo smaller type and no 8 devices of this kind would do: it needs another machine.\n";
  }
  return text;
}

namespace {

std::string speed_text(const Report& report) {
  if (report.split) return format("%.4g", report.split->speed.tokens_per_second);
  return report.fits && report.speed ? format("%.4g", report.speed->tokens_per_second) : "-";
}

}  // namespace

std::string side_by_side(const std::vector<Report>& reports) {
  std::string text = format("%-8s %12s %12s %6s %16s %12s %12s\n", "machine", "memory", "needed",
                            "fits", "longest context", "at once", "tokens/s");
  for (const Report& report : reports) {
    text += format("%-8s %12s %12s %6s %16s %12s %12s\n", report.machine.c_str(),
                   size_text(report.capacity).c_str(), size_text(report.needed).c_str(),
                   report.fits    ? "yes"
                   : report.split ? "split"
                                  : "NO",
                   report.largest_context ? grouped(*report.largest_context).c_str() : "none",
                   grouped(report.largest_parallel).c_str(), speed_text(report).c_str());
  }
  const Report& first = reports.front();
  return text + format(
                    "\nneeded, fits, tokens/s: %s of %s tokens at once. longest context: with as "
                    "many at\nonce. at once: with as many tokens. Details: --machine %s.\n",
                    grouped(first.parallel).c_str(), grouped(first.context).c_str(),
                    first.machine.c_str());
}

std::string assumptions_of(const Subject& subject, const Report& report) {
  std::string text = "\nAssumed:\n";
  for (const std::string& each : subject.footprint.assumptions) text += "- " + each + "\n";
  if (!report.split) {
    return text +
           "- times: roofline of the given rates; neither communication between devices nor "
           "an engine's\n  overhead beyond 1 ms a step\n";
  }
  return text +
         "- times: roofline of the given rates for each layer, with what crosses links; no "
         "engine's overhead\n  beyond 1 ms a pass\n";
}

}  // namespace fit
