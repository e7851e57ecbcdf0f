// Serves an exported SavedModel without Python, and checks every answer.
//
//     serve_saved_model EXPORT/1 answers.bin [REQUESTS [SEED]]
//
// tensorflow::LoadSavedModel and Session::Run are what TensorFlow Serving loads and runs a
// model with. answers.bin is written by keras_vae.exporters.serving.write_answers, which says
// what it holds. Four threads share the session; each request takes 1 to 64 rows, chosen at
// random. Prints counts and latencies as JSON; the exit code is 1 if an answer was wrong.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

namespace {

constexpr int kThreads = 4;
constexpr int kLargestBatch = 64;
// Of the output's largest absolute value.
constexpr double kTolerance = 1e-5;

struct Column {
  bool is_output;
  std::string name;
  tensorflow::DataType dtype;
  std::vector<int64_t> shape;  // without the batch
  size_t row_bytes;
  std::string rows;
  double scale = 0;  // largest absolute value, of outputs
};

struct Answers {
  std::string signature;
  uint32_t rows;
  std::vector<Column> columns;
};

template <typename T>
double ValueAs(const char* data, size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(value), sizeof(value));
  return static_cast<double>(value);
}

double ValueAt(tensorflow::DataType dtype, const char* data, size_t index) {
  switch (dtype) {
    case tensorflow::DT_FLOAT:
      return ValueAs<float>(data, index);
    case tensorflow::DT_DOUBLE:
      return ValueAs<double>(data, index);
    case tensorflow::DT_HALF:
      return ValueAs<Eigen::half>(data, index);
    case tensorflow::DT_BFLOAT16:
      return ValueAs<Eigen::bfloat16>(data, index);
    case tensorflow::DT_INT8:
      return ValueAs<int8_t>(data, index);
    case tensorflow::DT_INT16:
      return ValueAs<int16_t>(data, index);
    case tensorflow::DT_INT32:
      return ValueAs<int32_t>(data, index);
    case tensorflow::DT_INT64:
      return ValueAs<int64_t>(data, index);
    case tensorflow::DT_UINT8:
      return ValueAs<uint8_t>(data, index);
    case tensorflow::DT_UINT16:
      return ValueAs<uint16_t>(data, index);
    case tensorflow::DT_UINT32:
      return ValueAs<uint32_t>(data, index);
    case tensorflow::DT_UINT64:
      return ValueAs<uint64_t>(data, index);
    case tensorflow::DT_BOOL:
      return ValueAs<uint8_t>(data, index);
    default:
      throw std::runtime_error("the answers hold a dtype that this program does not know");
  }
}

template <typename Map>
std::string TensorName(const Map& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw std::runtime_error("the model has no tensor " + name);
  return found->second.name();
}

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path, std::ios::binary) {
    if (!file_) throw std::runtime_error("cannot open " + path);
  }

  std::string Bytes(size_t count) {
    std::string bytes(count, '\0');
    if (!file_.read(bytes.data(), count)) throw std::runtime_error("the answers end too early");
    return bytes;
  }

  uint32_t Number() {
    uint32_t number;  // little-endian, as are the machines that TensorFlow is built for
    std::memcpy(&number, Bytes(sizeof(number)).data(), sizeof(number));
    return number;
  }

  std::string Text() { return Bytes(Number()); }

 private:
  std::ifstream file_;
};

Answers ReadAnswers(const std::string& path) {
  Reader reader(path);
  if (reader.Bytes(8) != "ANSWERS1") throw std::runtime_error(path + " holds no answers");
  Answers answers;
  answers.signature = reader.Text();
  answers.rows = reader.Number();
  if (answers.rows < 1) throw std::runtime_error(path + " holds no answers");
  answers.columns.resize(reader.Number());
  for (Column& column : answers.columns) {
    column.is_output = reader.Number() == 1;
    column.name = reader.Text();
    column.dtype = static_cast<tensorflow::DataType>(reader.Number());
    column.shape.resize(reader.Number());
    size_t values = 1;
    for (int64_t& size : column.shape) values *= size = reader.Number();
    column.row_bytes = values * tensorflow::DataTypeSize(column.dtype);
    column.rows = reader.Bytes(column.row_bytes * answers.rows);
    for (size_t i = 0; column.is_output && i < values * answers.rows; ++i) {
      const double value = std::abs(ValueAt(column.dtype, column.rows.data(), i));
      if (value < INFINITY) column.scale = std::max(column.scale, value);
    }
  }
  return answers;
}

tensorflow::Tensor Batch(const Column& column, const std::vector<uint32_t>& rows) {
  tensorflow::TensorShape shape({static_cast<int64_t>(rows.size())});
  for (int64_t size : column.shape) shape.AddDim(size);
  tensorflow::Tensor batch(column.dtype, shape);
  char* to = static_cast<char*>(batch.data());
  for (uint32_t row : rows) {
    std::memcpy(to, column.rows.data() + row * column.row_bytes, column.row_bytes);
    to += column.row_bytes;
  }
  return batch;
}

// Largest error, of the output's scale; infinity if the answer is of another kind.
double Error(const Column& column, const std::vector<uint32_t>& rows,
             const tensorflow::Tensor& answer) {
  const tensorflow::Tensor wanted = Batch(column, rows);
  if (answer.dtype() != wanted.dtype() || answer.shape() != wanted.shape()) return INFINITY;
  const char* got = static_cast<const char*>(answer.data());
  double error = 0;
  for (int64_t i = 0; i < wanted.NumElements(); ++i) {
    const double expected = ValueAt(column.dtype, static_cast<const char*>(wanted.data()), i);
    const double value = ValueAt(column.dtype, got, i);
    const double difference = value == expected ? 0 : std::abs(value - expected);
    if (!(difference <= INFINITY)) return INFINITY;  // NaN
    error = std::max(error, difference);
  }
  return column.scale > 0 ? error / column.scale : error;
}

// A whole number, from `smallest` on.
uint32_t NumberOf(const char* word, const char* name, uint32_t smallest) {
  char* end = nullptr;
  const long long number = std::strtoll(word, &end, 10);
  if (*word == '\0' || *end != '\0' || number < smallest || number > INT32_MAX) {
    throw std::runtime_error(std::string(name) + " must be at least " +
                             std::to_string(smallest));
  }
  return static_cast<uint32_t>(number);
}

// All on one line.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

double Quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * (sorted.size() - 1) + 0.5)];
}

// Whether this process has loaded a Python interpreter.
bool HoldsPython() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::string file = line.substr(line.rfind('/') + 1);
    if (file.rfind("libpython", 0) == 0 || file.rfind("python", 0) == 0) return true;
  }
  return false;
}

struct Tally {
  std::vector<double> milliseconds;
  long long rows = 0;
  long long wrong = 0;
  double largest_error = 0;
};

Tally Ask(const tensorflow::SavedModelBundle& model, const Answers& answers, int requests,
          uint32_t seed) {
  const tensorflow::SignatureDef& signature = model.GetSignatures().at(answers.signature);
  std::vector<std::string> fetches;
  for (const Column& column : answers.columns) {
    if (column.is_output) fetches.push_back(TensorName(signature.outputs(), column.name));
  }
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> batch_size(1, kLargestBatch);
  std::uniform_int_distribution<uint32_t> any_row(0, answers.rows - 1);
  Tally tally;
  for (int request = 0; request < requests; ++request) {
    std::vector<uint32_t> rows(batch_size(random));
    for (uint32_t& row : rows) row = any_row(random);
    std::vector<std::pair<std::string, tensorflow::Tensor>> feeds;
    for (const Column& column : answers.columns) {
      if (column.is_output) continue;
      feeds.emplace_back(TensorName(signature.inputs(), column.name), Batch(column, rows));
    }
    std::vector<tensorflow::Tensor> outputs;
    const auto start = std::chrono::steady_clock::now();
    const absl::Status done = model.session->Run(feeds, fetches, {}, &outputs);
    const auto end = std::chrono::steady_clock::now();
    if (!done.ok()) throw std::runtime_error(std::string(done.message()));
    tally.milliseconds.push_back(std::chrono::duration<double, std::milli>(end - start).count());

    double error = 0;
    auto output = outputs.begin();
    for (const Column& column : answers.columns) {
      if (column.is_output) error = std::max(error, Error(column, rows, *output++));
    }
    tally.rows += static_cast<long long>(rows.size());
    tally.wrong += error > kTolerance;
    tally.largest_error = std::max(tally.largest_error, error);
  }
  return tally;
}

int Serve(const std::string& folder, const std::string& path, int requests, uint32_t seed) {
  const Answers answers = ReadAnswers(path);
  tensorflow::SavedModelBundle model;
  const absl::Status loaded =
      tensorflow::LoadSavedModel(tensorflow::SessionOptions(), tensorflow::RunOptions(), folder,
                                 {"serve"}, &model);
  if (!loaded.ok()) throw std::runtime_error(std::string(loaded.message()));
  if (!model.GetSignatures().contains(answers.signature)) {
    throw std::runtime_error("the model has no signature " + answers.signature);
  }

  std::vector<std::future<Tally>> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    const int share = requests / kThreads + (thread < requests % kThreads);
    threads.push_back(std::async(std::launch::async, Ask, std::cref(model), std::cref(answers),
                                 share, seed * kThreads + thread));
  }
  Tally all;
  for (std::future<Tally>& thread : threads) {
    const Tally tally = thread.get();
    all.milliseconds.insert(all.milliseconds.end(), tally.milliseconds.begin(),
                            tally.milliseconds.end());
    all.rows += tally.rows;
    all.wrong += tally.wrong;
    all.largest_error = std::max(all.largest_error, tally.largest_error);
  }
  std::sort(all.milliseconds.begin(), all.milliseconds.end());
  std::printf(
      "{\"tensorflow\": \"%s\", \"signature\": \"%s\", \"seed\": %u, \"threads\": %d, "
      "\"requests\": %zu, \"rows\": %lld, \"wrong\": %lld, \"largest_error\": %.3g, "
      "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"python_loaded\": %s}\n",
      TF_Version(), answers.signature.c_str(), seed, kThreads, all.milliseconds.size(),
      all.rows, all.wrong, std::isfinite(all.largest_error) ? all.largest_error : 1e308,
      Quantile(all.milliseconds, 0.5), Quantile(all.milliseconds, 0.99),
      HoldsPython() ? "true" : "false");
  return all.wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3 || count > 5) {
    std::fprintf(stderr, "usage: %s EXPORT/1 answers.bin [REQUESTS [SEED]]\n", words[0]);
    return 2;
  }
  try {
    const int requests = count > 3 ? NumberOf(words[3], "REQUESTS", 1) : 10000;
    const uint32_t seed = count > 4 ? NumberOf(words[4], "SEED", 0) : 0;
    return Serve(words[1], words[2], requests, seed);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", words[0], OneLine(error.what()).c_str());
    return 2;
  }
}
