// JSON, and a page.
#include <nlohmann/json.hpp>

#include "views.hpp"

namespace fit {

namespace {

using namespace mais;
using Json = nlohmann::ordered_json;

constexpr const char* kParts[] = {"weights", "state", "workspace"};

Json json_of(const Report& report, const core::Split& split) {
  Json json;
  const auto name = [&](SpaceId space) { return report.spaces[space.value()]; };
  json["whole"] = split.whole();
  json["tensor_parallel"] = split.tensor_parallel;
  json["stages"] = split.stages.size();
  json["groups"] = split.groups;
  json["host"] = split.host ? Json(name(*split.host)) : Json();
  for (std::size_t i = 0; i < split.layers.size(); ++i) {
    json["layers"].push_back({{"name", report.layers[i]},
                              {"mode", to_string(split.layers[i].mode)},
                              {"stage", split.layers[i].stage}});
  }
  for (const core::SpaceUse& use : split.spaces) {
    json["spaces"].push_back({{"name", name(use.space)},
                              {"weights", use.weights.count()},
                              {"state", use.state.count()},
                              {"workspace", use.workspace.count()},
                              {"buffers", use.buffers.count()},
                              {"capacity", use.capacity.count()}});
  }
  json["predicted"] = {{"ttft_s", split.speed.ttft_s},
                       {"tpot_s", split.speed.token_s},
                       {"tpot_parallel_s", split.speed.step_s},
                       {"tokens_per_second", split.speed.tokens_per_second},
                       {"prompt_tokens_per_second", split.speed.prompt_tokens_per_second},
                       {"bound",
                        {{"kind", to_string(split.speed.bound.kind)},
                         {"where", split.speed.bound.where},
                         {"share", split.speed.bound.share}}}};
  json["gains"] = Json::array();
  for (const core::Gain& gain : split.gains) {
    Json spaces = Json::array();
    for (const SpaceId space : gain.spaces) spaces.push_back(name(space));
    json["gains"].push_back({{"spaces", spaces},
                             {"more", gain.more.count()},
                             {"tokens_per_second", gain.tokens_per_second}});
  }
  return json;
}

Json json_of(const std::vector<Choice>& choices) {
  Json list = Json::array();
  for (const Choice& choice : choices) {
    Json json = {{"name", choice.name},
                 {"bits", choice.bits},
                 {"weights", choice.weights.count()},
                 {"chosen", choice.chosen},
                 {"why_not", choice.why_not}};
    json["ttft_s"] = choice.speed ? Json(choice.speed->ttft_s) : Json();
    json["tpot_s"] = choice.speed ? Json(choice.speed->step_s) : Json();
    list.push_back(std::move(json));
  }
  return list;
}

Json json_of(const std::vector<Alternative>& ways) {
  Json list = Json::array();
  for (const Alternative& other : ways) {
    list.push_back({{"what", other.what}, {"outcome", other.outcome}});
  }
  return list;
}

Json json_of(const Report& report) {
  Json json;
  json["machine"] = report.machine;
  json["device"] = report.device;
  json["devices"] = report.devices;
  json["capacity"] = report.capacity.count();
  json["context"] = report.context;
  json["parallel"] = report.parallel;
  json["needed"] = report.needed.count();
  json["fits"] = report.fits;
  json["longest_context"] = report.largest_context ? Json(*report.largest_context) : Json();
  json["most_parallel"] = report.largest_parallel;
  for (const Row& row : report.rows) {
    json["parts"].push_back({{"part", kParts[static_cast<int>(row.part)]},
                             {"name", row.name},
                             {"bytes", row.bytes.count()}});
  }
  if (report.speed) {
    json["predicted"] = {{"prompt", report.prompt},
                         {"ttft_s", report.speed->ttft_s},
                         {"tpot_s", report.speed->tpot_s},
                         {"tpot_parallel_s", report.speed->tpot_parallel_s},
                         {"tokens_per_second", report.speed->tokens_per_second},
                         {"batch_s", report.speed->batch_s},
                         {"bound", report.speed->bound}};
  }
  json["alternatives"] = json_of(report.alternatives);
  json["split"] = report.split ? json_of(report, *report.split) : Json();
  json["no_split"] = report.no_split;
  json["missed"] = report.missed;
  json["within"] = json_of(report.within);
  return json;
}

std::string escaped(const std::string& text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '&':
        html += "&amp;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

constexpr const char* kStyle = R"(<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
.bar { display: flex; position: relative; height: 2.5em; border: 2px solid #333; background: #eee; margin: .5em 0 }
.bar i { display: block; height: 100% }
.weights { background: #3b6ea5 } .state { background: #e09f3e } .workspace { background: #9e2a2b }
.bar b { position: absolute; top: -.6em; bottom: -.6em; border-left: 4px solid #d00 }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto }
.key span { display: inline-block; width: 1em; height: 1em; margin: 0 .4em 0 1em }
</style>)";

std::string picture(const Report& report) {
  const double whole =
      static_cast<double>(std::max({report.needed, report.capacity, Bytes(1)}).count());
  std::string html =
      "<div class=bar role=img aria-label=\"memory of " + escaped(report.machine) + "\">";
  for (const Row& row : report.rows) {
    const double percent = 100.0 * static_cast<double>(row.bytes.count()) / whole;
    html += "<i class=" + std::string(kParts[static_cast<int>(row.part)]) +
            " style=\"width:" + std::to_string(percent) + "%\" title=\"" + escaped(row.name) +
            ": " + grouped(row.bytes.count()) + " bytes\"></i>";
  }
  if (!report.fits) {  // where the memory ends
    const double end = 100.0 * static_cast<double>(report.capacity.count()) / whole;
    html += "<b style=\"left:" + std::to_string(end) + "%\" title=\"the memory ends here\"></b>";
  }
  return html + "</div>\n";
}

}  // namespace

std::string as_json(const Subject& subject, const std::vector<Report>& reports,
                    const std::vector<Choice>& choices) {
  const files::Footprint& print = subject.footprint;
  Json json;
  json["model"] = {{"name", print.model.name},       {"family", subject.model.architecture.family},
                   {"parameters", print.parameters}, {"weights", print.weights.count()},
                   {"exact", print.exact},           {"margin", print.margin}};
  json["machines"] = Json::array();
  for (const Report& report : reports) json["machines"].push_back(json_of(report));
  json["variants"] = json_of(choices);
  json["assumptions"] = print.assumptions;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_page(const Subject& subject, const std::vector<Report>& reports) {
  const std::string name = escaped(subject.footprint.model.name);
  std::string html = "<!doctype html><html lang=en><meta charset=utf-8><title>Does " + name +
                     " fit?</title>" + kStyle + "<h1>Does " + name + " fit?</h1>\n";
  html +=
      "<p class=key><span class=weights></span>weights<span class=state></span>state"
      "<span class=workspace></span>workspace. Hover for bytes; a bar is as long as the memory, "
      "or as what is needed where that is more: then a red line is the end of the memory.</p>\n";
  for (const Report& report : reports) {
    html += "<h2>" + escaped(report.machine) + ": " +
            (report.fits    ? "fits"
             : report.split ? "runs split"
                            : "does not fit") +
            "</h2>\n" + picture(report) + "<pre>" + escaped(in_detail(subject, report, true)) +
            "</pre>\n";
  }
  return html + "<pre>" + escaped(assumptions_of(subject, reports.front())) + "</pre></html>\n";
}

}  // namespace fit
