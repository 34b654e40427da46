// Scrapes while requests are submitted, served and cancelled, and while a watch comes and goes.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "adapters/exposition.hpp"
#include "mais/adapters/prometheus_metrics.hpp"
#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais::adapters {
namespace {

TEST(PrometheusThreads, EveryScrapeReadsAndTheEndsAddUp) {
  const auto metrics = *PrometheusMetrics::create();
  Scheduler scheduler = make_scheduler(small_machine(), {.observers = {metrics}});
  constexpr int kProducers = 2, kRequests = 300;
  std::atomic<int> ends = 0;
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> threads;
  threads.emplace_back([&](const std::stop_token& stop) {
    core::Step step;
    while (scheduler.next_step(kInstance, step, stop)) scheduler.report({.step = step.id});
  });
  std::jthread watcher([&] {
    while (!is_over) {
      const auto watch = metrics->watch(scheduler);
      std::this_thread::yield();
    }
  });
  std::vector<std::jthread> scrapers(2);
  for (auto& scraper : scrapers) {
    scraper = std::jthread([&] {
      double before = 0;
      do {
        const Exposition at(metrics->text());
        const double now =
            at.value("mais_requests_ended_total", {{"tenant", "a"}, {"kind", "finished"}});
        EXPECT_GE(now, before);
        before = now;
      } while (!is_over);
    });
  }
  {
    std::vector<std::jthread> producers(kProducers);
    for (auto& producer : producers) {
      producer = std::jthread([&] {
        for (int i = 0; i < kRequests; ++i) {
          const RequestId id =
              scheduler.submit({.model = kModel, .prompt = 4_tok, .max_new = 2_tok},
                               [&](const RequestEnd&) { ++ends; });
          if (i % 3 == 0) scheduler.cancel(id);
        }
      });
    }
  }
  EXPECT_TRUE(scheduler.drain());
  is_over = true;
  scrapers.clear();
  watcher.join();
  threads.clear();
  scheduler.shutdown();
  const Exposition at(metrics->text());
  double told = 0;
  for (const auto& [labels, value] : at.series("mais_requests_ended_total")) told += value;
  EXPECT_EQ(ends, kProducers * kRequests);
  EXPECT_EQ(told, kProducers * kRequests);
}

TEST(PrometheusThreads, WatchThatGoesLeavesNobodyReadingTheScheduler) {
  for (int round = 0; round < 30; ++round) {
    const auto metrics = *PrometheusMetrics::create();
    std::atomic<int> scrapes = 0;
    std::jthread scraper([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        (void)metrics->text();
        ++scrapes;
      }
    });
    {
      Scheduler scheduler = make_scheduler(small_machine(), {.observers = {metrics}});
      const auto watch = metrics->watch(scheduler);
      for (const int before = scrapes; scrapes < before + 2;) std::this_thread::yield();
    }
  }
}

}  // namespace
}  // namespace mais::adapters
