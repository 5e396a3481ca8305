#include "core/weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/weights/weights_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

std::string parse_error(const std::string& file) {
  return data_error([&] { parse_safetensors(bytes_of(file), "w.safetensors"); });
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

const std::vector<StoredTensor> kTensors{{.name = "b", .dtype = "F32", .shape = {2, 3}},
                                         {.name = "a", .dtype = "BF16", .shape = {5}},
                                         {.name = "none", .dtype = "F16", .shape = {0, 4}},
                                         {.name = "scalar", .dtype = "I64", .shape = {}}};

std::string good_file() {
  return safetensors_prefix(kTensors, {{"format", "pt"}}) + std::string(24 + 10 + 8, 'x');
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  const std::string file = good_file();
  const SafetensorsHeader header = parse_safetensors(bytes_of(file), "w");
  EXPECT_EQ(header.metadata.at("format"), "pt");
  ASSERT_EQ(header.tensors.size(), 4U);
  const size_t data = file.size() - 42;
  EXPECT_EQ(data % 8, 0U);
  EXPECT_EQ(header.tensors[0].name, "b");
  EXPECT_EQ(header.tensors[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(header.tensors[0].dtype, "F32");
  EXPECT_EQ(header.tensors[0].begin, data);
  EXPECT_EQ(header.tensors[1].begin, data + 24);
  EXPECT_EQ(header.tensors.back().name, "scalar");
  EXPECT_EQ(header.tensors.back().end, file.size());
}

TEST(Safetensors, AFileOfNoTensorsIsRead) {
  EXPECT_TRUE(parse_safetensors(bytes_of(file_of("{}")), "w").tensors.empty());
}

TEST(Safetensors, EveryTruncationIsADataErrorThatNamesTheFile) {
  const std::string file = good_file();
  for (size_t length = 0; length < file.size(); ++length) {
    // A copy of its own, so that a sanitizer sees a read past the end.
    EXPECT_THAT(parse_error(file.substr(0, length)), HasSubstr("w.safetensors: "))
        << length << " bytes";
  }
}

TEST(Safetensors, AnyChangedHeaderByteIsReadOrADataError) {
  const std::string file = good_file();
  for (size_t i = 0; i < file.size() - 42; ++i) {
    for (const char other : {'\0', '"', '{', '9', '\xff', '-'}) {
      std::string changed = file;
      changed[i] = other;
      parse_error(changed);  // any other exception ends the test
    }
  }
}

struct Bad {
  const char* what;
  std::string file;
  const char* message;
};

const std::string kA = R"({"a":)";
const std::string kF32 = entry("F32", "[2]", "[0,8]");
const std::string k8(8, 'x');
const std::string k16(16, 'x');

std::string ones(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += ",1";
  return text;
}

// One test for all: every ctest entry loads libtorch anew.
TEST(Safetensors, EveryKindOfBadFileIsADataErrorThatNamesFileAndFault) {
  const std::vector<Bad> files{
      Bad{"LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
          "Git LFS pointer"},
      Bad{"HugeHeader", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10),
          "claims a header of 9223372036854775807 bytes"},
      Bad{"HeaderPastTheEnd", std::string("\x03\0\0\0\0\0\0\0{}", 10), "claims a header of 3"},
      Bad{"NotJson", file_of("{]"), "header: is not JSON: syntax error at byte 2"},
      Bad{"NotAnObject", file_of("[]"), "not a JSON object"},
      Bad{"TrailingBytes", file_of(kA + kF32 + "}", k16), "its header describes"},
      Bad{"MissingBytes", file_of(kA + kF32 + "}"), "its header describes"},
      Bad{"Overlap", file_of(kA + kF32 + R"(,"b":)" + entry("F32", "[2]", "[4,12]") + "}", k16),
          "tensor 'b' starts at"},
      Bad{"Gap", file_of(kA + kF32 + R"(,"b":)" + entry("U8", "[4]", "[12,16]") + "}", k16),
          "tensor 'b' starts at"},
      Bad{"NotAtTheStart", file_of(kA + entry("F32", "[2]", "[8,16]") + "}", k16),
          "tensor 'a' starts at"},
      Bad{"UnknownDtype", file_of(kA + entry("F8_E4M3", "[8]", "[0,8]") + "}", k8),
          "unknown dtype \"F8_E4M3\""},
      Bad{"DtypeIsANumber", file_of(R"({"a":{"dtype":3,"shape":[2],"data_offsets":[0,8]}})", k8),
          "unknown dtype 3"},
      Bad{"SizeAndShapeDiffer", file_of(kA + entry("F32", "[3]", "[0,8]") + "}", k8),
          "takes 8 bytes"},
      Bad{"NegativeShape", file_of(kA + entry("F32", "[-2]", "[0,8]") + "}", k8),
          "impossible shape"},
      Bad{"HugeShape", file_of(kA + entry("F32", "[18446744073709551615]", "[0,8]") + "}", k8),
          "impossible shape"},
      Bad{"OverflowingShape",
          file_of(kA + entry("F32", "[4294967296,4294967296,4294967296]", "[0,8]") + "}", k8),
          "more elements than a file can hold"},
      Bad{"FractionalShape", file_of(kA + entry("F32", "[2.5]", "[0,8]") + "}", k8),
          "impossible shape"},
      Bad{"OffsetsReversed", file_of(kA + entry("F32", "[2]", "[8,0]") + "}", k8),
          "impossible data_offsets"},
      Bad{"NegativeOffset", file_of(kA + entry("F32", "[2]", "[-8,0]") + "}", k8),
          "impossible data_offsets"},
      Bad{"HugeOffsets",
          file_of(kA + entry("F32", "[2]", "[18446744073709551608,18446744073709551616]") + "}",
                  k8),
          "impossible data_offsets"},
      Bad{"OffsetsThatWrapAround",
          file_of(kA + entry("F32", "[2]", "[18446744073709551600,18446744073709551608]") + "}",
                  k8),
          "impossible data_offsets"},
      Bad{"NoNumber", file_of(kA + entry("F32", "[1e300]", "[0,8]") + "}", k8), "impossible shape"},
      Bad{"ManyDimensions", file_of(kA + entry("U8", "[1" + ones(64) + "]", "[0,1]") + "}", "x"),
          "impossible shape"},
      Bad{"DeepHeader", file_of(kA + std::string(100000, '[')), "deeper than 64"},
      Bad{"NameOfManyLines", file_of(R"({"a\nb":5})"), R"(tensor 'a\nb' has no)"},
      Bad{"KeyOfAnEntryTwice", file_of(R"({"a":{"dtype":"U8","dtype":"I8"}})"), "key 'dtype'"},
      Bad{"ThreeOffsets", file_of(kA + entry("F32", "[2]", "[0,4,8]") + "}", k8),
          "impossible data_offsets"},
      Bad{"NoDescription", file_of(R"({"a":5})"), "tensor 'a' has no description"},
      Bad{"ListedTwice", file_of(kA + kF32 + R"(,"a":)" + kF32 + "}", k8),
          "key 'a' stands twice in one object"},
      Bad{"MetadataNotAnObject", file_of(R"({"__metadata__":[]})"), "__metadata__"},
      Bad{"MetadataNotText", file_of(R"({"__metadata__":{"k":1}})"), "__metadata__ 'k'"}};
  for (const Bad& bad : files) {
    EXPECT_THAT(parse_error(bad.file), HasSubstr("w.safetensors: ")) << bad.what;
    EXPECT_THAT(parse_error(bad.file), HasSubstr(bad.message)) << bad.what;
  }
}

TEST(Safetensors, KnowsTheSizesOfItsDtypes) {
  EXPECT_EQ(stored_dtype_size("F64"), 8U);
  EXPECT_EQ(stored_dtype_size("F32"), 4U);
  EXPECT_EQ(stored_dtype_size("BF16"), 2U);
  EXPECT_EQ(stored_dtype_size("BOOL"), 1U);
  EXPECT_EQ(stored_dtype_size("f32"), 0U);
}

}  // namespace
}  // namespace cogvx
