#include "core/weights/torch_archive.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "tests/core/weights/written_tensors.h"
#include "tests/support/golden.h"
#include "tests/support/test_paths.h"
#include "tests/support/torch_file.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

std::string bytes_of_tensor(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

SavedTensor saved(const std::string& name, const at::Tensor& tensor) {
  return {name, stored_name(tensor.scalar_type()), tensor.sizes().vec(), bytes_of_tensor(tensor)};
}

at::Tensor ramp(at::IntArrayRef shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return (at::arange(count, at::kFloat) * 0.37 - 2).view(shape);
}

at::Tensor whole(const TorchArchive& archive, size_t index) {
  const auto& shape = archive.tensors().at(index).shape;
  return archive.read_rows(index, {0, row_count(shape)}).view(shape);
}

class TorchFile : public testing::Test {
 protected:
  TorchArchive open(const std::string& wrapper, const std::vector<SavedTensor>& tensors) {
    write_torch_file(file_, wrapper, tensors);
    return TorchArchive(file_);
  }
  // The message for an archive with this pickle and one storage of eight numbers.
  std::string error(const std::string& pickle) {
    write_archive(file_, {{"data.pkl", pickle}, {"data/0", std::string(32, 'x')}});
    return open_error();
  }
  std::string open_error() {
    return data_error([&] { TorchArchive{file_}; });
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "states.pt";
};

TEST_F(TorchFile, HoldsItsTensorsInEveryWrapper) {
  const at::Tensor wide = ramp({5, 3}), half = ramp({7}).to(at::kHalf);
  const at::Tensor brain = ramp({2, 3, 4}).to(at::kBFloat16), scalar = ramp({3})[1].clone();
  for (const char* wrapper : {"", "model", "module", "state_dict"}) {
    const TorchArchive archive = open(wrapper, {saved("wide", wide), saved("half", half),
                                                saved("brain", brain), saved("scalar", scalar)});
    ASSERT_EQ(archive.tensors().size(), 4U);
    EXPECT_EQ(archive.tensors()[2].name, "brain");
    EXPECT_EQ(archive.tensors()[2].dtype, "BF16");
    EXPECT_TRUE(same_bytes(whole(archive, 0), wide));
    EXPECT_TRUE(same_bytes(whole(archive, 1), half));
    EXPECT_TRUE(same_bytes(whole(archive, 2), brain));
    EXPECT_TRUE(same_bytes(whole(archive, 3), scalar));
    EXPECT_TRUE(same_bytes(archive.read_rows(0, {1, 4}), wide.narrow(0, 1, 3)));
    EXPECT_TRUE(same_bytes(archive.read_rows(0, {2, 2}), wide.narrow(0, 2, 0)));
  }
}

TEST_F(TorchFile, ViewsAreReadAsTheyLook) {
  const at::Tensor base = ramp({6, 5});
  SavedTensor turned = saved("turned", base);
  turned.shape = {5, 6}, turned.strides = {1, 5};
  SavedTensor part = saved("part", base);
  part.shape = {2, 3}, part.strides = {5, 1}, part.offset = 11;
  const TorchArchive archive = open("", {turned, part});
  EXPECT_TRUE(same_bytes(whole(archive, 0), base.t().contiguous()));
  EXPECT_TRUE(same_bytes(archive.read_rows(0, {2, 4}), base.t().narrow(0, 2, 2).contiguous()));
  EXPECT_TRUE(same_bytes(whole(archive, 1), base.narrow(0, 2, 2).narrow(1, 1, 3).contiguous()));
}

// Written by torch.save; how stands in the test's data.
TEST_F(TorchFile, OneThatPythonWroteIsRead) {
  const TorchArchive archive(source_dir() / "tests" / "goldens" / "torch_save.pt");
  ASSERT_EQ(archive.tensors().size(), 5U);
  const at::Tensor base = at::arange(24, at::kFloat).view({4, 6}) * 0.25 - 1;
  const std::vector<std::pair<std::string, at::Tensor>> wanted{
      {"linear.weight", base},
      {"linear.bias", base[1].to(at::kHalf)},
      {"turned", base.t().contiguous().to(at::kBFloat16)},
      {"rows", base.narrow(0, 1, 2)},
      {"scalar", base[3][2]}};
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(archive.tensors()[i].name, wanted[i].first);
    EXPECT_TRUE(same_bytes(whole(archive, i), wanted[i].second)) << wanted[i].first;
  }
}

TEST_F(TorchFile, NothingButDataIsUnderstood) {
  const auto run = [&](const std::string& module, const std::string& name) {
    return error(
        PickleWriter().global(module, name).opcodes("(").text("touch /tmp/x").opcodes("tR.").str());
  };
  const std::vector<std::pair<std::string, std::string>> globals{
      {"os", "system"},
      {"builtins", "eval"},
      {"posix", "system"},
      {"torch", "load"},
      {"torch", "FloatStorag"},
      {"torch.storage", "FloatStorage"},
      {"torch._utils", "_rebuild_tensor_v3"},
      {"__torch__", "Model"},
      {"numpy.core.multiarray", "_reconstruct"}};
  for (const auto& [module, name] : globals) {
    EXPECT_THAT(run(module, name),
                testing::AllOf(HasSubstr(file_.string()),
                               HasSubstr("names '" + module + "." + name + "', wanted tensors"),
                               HasSubstr("nothing of it was run")));
  }
  const std::string stacked = PickleWriter().text("os").text("system").opcodes("\x93).").str();
  EXPECT_THAT(error(stacked), HasSubstr("names 'os.system'"));
}

// The pickle of one tensor over a storage of eight floats.
struct Claim {
  std::string key = "0";
  int64_t count = 8;
  int64_t offset = 0;
  std::vector<int64_t> shape{2, 4};
  std::vector<int64_t> strides{4, 1};
  std::string type = "FloatStorage";

  std::string pickle() const {
    return PickleWriter()
        .opcodes("}")
        .text("x")
        .global("torch._utils", "_rebuild_tensor_v2")
        .opcodes("(")
        .storage(type, key, count)
        .integer(offset)
        .tuple(shape)
        .tuple(strides)
        .opcodes("\x89")
        .ordered_dict()
        .opcodes("tRs.")
        .str();
  }
};

TEST_F(TorchFile, TensorsStayInsideTheirStorages) {
  ASSERT_EQ(error(Claim{}.pickle()), "");
  const std::string beyond = "reaches beyond the 8 elements of its storage '0'";
  EXPECT_THAT(error(Claim{.offset = 1}.pickle()), HasSubstr(beyond));
  EXPECT_THAT(error(Claim{.shape = {3, 3}}.pickle()), HasSubstr(beyond));
  EXPECT_THAT(error(Claim{.strides = {5, 1}}.pickle()), HasSubstr(beyond));
  EXPECT_THAT(error(Claim{.shape = {9, 9}, .strides = {0, 0}}.pickle()), HasSubstr(beyond));
  const int64_t huge = int64_t{1} << 48;
  EXPECT_THAT(error(Claim{.shape = {huge, huge}}.pickle()), HasSubstr(beyond));
  EXPECT_THAT(error(Claim{.shape = {2, 2}, .strides = {huge, huge}}.pickle()), HasSubstr(beyond));
  const Claim overflowing{.count = huge, .shape = {1 << 24}, .strides = {huge}};
  EXPECT_THAT(error(overflowing.pickle()), HasSubstr("reaches beyond the 281474976710656"));
  for (const int64_t bad : {int64_t{-1}, huge * 2, std::numeric_limits<int64_t>::max()}) {
    EXPECT_THAT(error(Claim{.offset = bad}.pickle()), HasSubstr("a tensor's offset"));
    EXPECT_THAT(error(Claim{.shape = {bad, 1}}.pickle()), HasSubstr("a tensor's size"));
    EXPECT_THAT(error(Claim{.strides = {bad, 1}}.pickle()), HasSubstr("a tensor's stride"));
    EXPECT_THAT(error(Claim{.count = bad}.pickle()), HasSubstr("a tensor's storage size"));
  }
  EXPECT_THAT(error(Claim{.strides = {1}}.pickle()), HasSubstr("2 extents and 1 strides"));
  const std::vector<int64_t> many(9, 1);
  EXPECT_THAT(error(Claim{.shape = many, .strides = many}.pickle()),
              HasSubstr("no possible shape"));
}

TEST_F(TorchFile, StoragesAreRecordsOfTheirSize) {
  EXPECT_THAT(error(Claim{.key = "1"}.pickle()), HasSubstr("it has no record 'data/1'"));
  EXPECT_THAT(error(Claim{.count = 9}.pickle()),
              HasSubstr("storage '0' has 32 bytes, its 9 numbers in F32 want 36"));
  EXPECT_THAT(error(Claim{.type = "HalfStorage"}.pickle()), HasSubstr("8 numbers in F16 want 16"));
  for (const char* key : {"../0", "0/..", "", "a b"})
    EXPECT_THAT(error(Claim{.key = key}.pickle()), HasSubstr("a way that torch.save does not use"));
}

TEST_F(TorchFile, WhatIsNoStateDictIsRefused) {
  EXPECT_THAT(error("\x80\x02}."), HasSubstr("holds no dictionary of tensors"));
  EXPECT_THAT(error("\x80\x02K\x01."), HasSubstr("holds no dictionary of tensors"));
  EXPECT_THAT(error(PickleWriter().opcodes("}").text("epoch").integer(3).opcodes("s.").str()),
              HasSubstr("'epoch' is no tensor"));
  EXPECT_THAT(error(PickleWriter().opcodes("}").integer(1).integer(3).opcodes("s.").str()),
              HasSubstr("a key of its state dict is no text"));
  const at::Tensor x = ramp({2});
  write_torch_file(file_, "", {saved("x", x), saved("x", x)});
  EXPECT_THAT(open_error(), HasSubstr("tensor 'x' is there twice"));
}

TEST_F(TorchFile, BrokenPicklesAreDataErrors) {
  const std::string good = Claim{}.pickle();
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_THAT(error(good.substr(0, size)), HasSubstr(file_.string())) << size;
  const std::vector<std::pair<std::string, std::string>> table{
      {"\x80\x06.", "protocol 6 is unknown"},
      {"\x80\x02.", "its stack is empty"},
      {"\x80\x02t.", "it has no mark"},
      {"\x80\x02h\x01.", "it recalls what it never remembered"},
      {"\x80\x02}K\x01\x61.", "adds to what is no list"},
      {"\x80\x02](K\x01u.", "adds to what is no list or dictionary"},
      {"\x80\x02}(K\x01u.", "a key has no value"},
      {"\x80\x02K\x01)R.", "calls what is no function"},
      {"\x80\x02(Ki0\n.", "opcode"},
      {"\x80\x02\x82\x01.", "opcode 0x82 is none of those"},
      {"\x80\x02" + std::string(200, '('), "nested too deep"},
      {"\x80\x02N" + std::string(2'000'000, '\x94'), "its memo is too large"},
      {"\x80\x02" + std::string(2'000'000, 'N'), "its pickle makes more than 1000000 values"},
      {"\x80\x02X\xff\xff\xff\xff"
       "a.",
       "it is cut"},
      {"\x80\x02"
       "(K\x01Q.",
       "a storage is described"}};
  for (const auto& [pickle, wanted] : table) EXPECT_THAT(error(pickle), HasSubstr(wanted));
}

TEST_F(TorchFile, BrokenArchivesAreDataErrors) {
  write_torch_file(file_, "module", {saved("x", ramp({300}))});
  const std::string good = [&] {
    std::ifstream file(file_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  for (size_t size = 0; size < good.size(); size += 97) {
    write_text(file_, good.substr(0, size));
    EXPECT_THAT(open_error(), HasSubstr("is no archive of torch.save")) << size;
  }
  write_text(file_, "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(open_error(), HasSubstr("Git LFS pointer"));
  write_archive(file_, {{"other", "x"}});
  EXPECT_THAT(open_error(), HasSubstr("it has no record 'data.pkl'"));
  write_archive(file_, {{"data.pkl", Claim{}.pickle() + std::string(1000, ' ')}},
                Packing::kDeflate);
  EXPECT_THAT(open_error(), HasSubstr("record 'data.pkl' is compressed"));
  write_archive(file_, {{"data.pkl", Claim{}.pickle()}, {"byteorder", "big"}});
  EXPECT_THAT(open_error(), HasSubstr("its byte order is 'big', wanted 'little'"));
}

// Every byte of the archive changed in turn: an error or a state, never anything else.
TEST_F(TorchFile, AnyByteMayBeWrong) {
  write_torch_file(file_, "module", {saved("x", ramp({2, 4}))});
  std::string bytes;
  {
    std::ifstream file(file_, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  int refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x55);
    write_text(file_, changed);
    try {
      const TorchArchive archive(file_);
      for (size_t k = 0; k < archive.tensors().size(); ++k) whole(archive, k);
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace cogvx
