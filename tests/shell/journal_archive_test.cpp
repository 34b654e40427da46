// The bytes of a journal's values: what is written is read again, and what no writer writes is
// refused with a reason.
#include "shell/journal_archive.hpp"

#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "shell/crc32c.hpp"
#include "shell/journal_fields.hpp"

namespace mais::shell {
namespace {

using ::testing::HasSubstr;

template <class Value>
std::string bytes_of(const Value& value) {
  std::string bytes;
  ArchiveWriter{bytes}(value);
  return bytes;
}

template <class Value>
void comes_back(const Value& value) {
  const std::string bytes = bytes_of(value);
  Value again{};
  ArchiveReader reader(bytes);
  reader(again);
  EXPECT_EQ(reader.problem(), "");
  EXPECT_EQ(reader.left(), 0U);
  EXPECT_EQ(again, value);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ArchiveReader cut(std::string_view(bytes).substr(0, size));
    cut(again);
    EXPECT_NE(cut.problem(), "") << size;
  }
}

TEST(JournalArchive, EveryValueComesBackAndIsRefusedWhenCut) {
  using Limits = std::numeric_limits<std::int64_t>;
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{63}, std::int64_t{64}, std::int64_t{-65},
        Limits::max(), Limits::min()}) {
    comes_back(value);
    comes_back(Time(Duration(value)));
  }
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128},
                                    std::numeric_limits<std::uint64_t>::max()}) {
    comes_back(value);
    comes_back(RequestId{value});
  }
  for (const double value : {0.0, -0.0, 0.1, -1e308, std::numeric_limits<double>::infinity()}) {
    comes_back(value);
  }
  comes_back(true);
  comes_back(Bytes(-7));
  comes_back(InstanceId(4'000'000'000));
  comes_back(std::string("with\0zero", 9));
  comes_back(std::vector<std::uint32_t>{1, 1000, 4'000'000'000});
  comes_back(std::optional<Tokens>{});
  comes_back(std::optional<Tokens>{5});
  comes_back(ServiceClass::batch);
}

TEST(JournalArchive, SmallNumbersAreSmall) {
  EXPECT_EQ(bytes_of(std::uint64_t{127}).size(), 1U);
  EXPECT_EQ(bytes_of(std::int64_t{-64}).size(), 1U);
  EXPECT_EQ(bytes_of(std::uint64_t{300}), "\xac\x02");
}

template <class Value>
std::string problem_of(std::string_view bytes) {
  Value value{};
  ArchiveReader reader(bytes);
  reader(value);
  return reader.problem();
}

TEST(JournalArchive, SaysWhatIsWrong) {
  EXPECT_THAT(problem_of<std::uint64_t>("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
              HasSubstr("larger than 64 bits"));
  EXPECT_THAT(problem_of<std::uint64_t>("\x80"), HasSubstr("ends inside a number"));
  EXPECT_THAT(problem_of<std::uint32_t>("\xff\xff\xff\xff\x1f"), HasSubstr("out of range"));
  EXPECT_THAT(problem_of<double>("1234567"), HasSubstr("ends inside a number"));
  EXPECT_THAT(problem_of<bool>("\x02"), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(problem_of<ServiceClass>("\x03"), HasSubstr("a choice is none"));
  EXPECT_THAT(problem_of<std::string>("\x05"
                                      "abcd"),
              HasSubstr("a list is longer"));
  EXPECT_THAT(problem_of<std::vector<std::uint32_t>>("\x05"
                                                     "abcd"),
              HasSubstr("a list is longer"));
  EXPECT_THAT(problem_of<core::Event>("\x0c"), HasSubstr("an event is none"));
}

// A list's length must not allocate what the file does not have.
TEST(JournalArchive, HugeLengthAllocatesNothing) {
  std::string bytes = bytes_of(std::numeric_limits<std::uint64_t>::max() / 2);
  std::vector<core::StepEntry> list;
  ArchiveReader reader(bytes);
  reader(list);
  EXPECT_NE(reader.problem(), "");
  EXPECT_EQ(list.capacity(), 0U);
}

TEST(Crc32c, KnownValues) {  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising.push_back(c);
  EXPECT_EQ(crc32c(rising), 0x46dd794eU);
}

TEST(Crc32c, InPiecesAsInOne) {
  const std::string text = "a record of a journal, in pieces of every length";
  for (std::size_t at = 0; at <= text.size(); ++at) {
    EXPECT_EQ(crc32c(text.substr(at), crc32c(text.substr(0, at))), crc32c(text));
  }
}

}  // namespace
}  // namespace mais::shell
