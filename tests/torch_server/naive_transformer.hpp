// The definition of the transformer, in double precision, the whole text at once, and sharing no
// code with the engines but the source of the weights.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine_names.hpp"
#include "shape.hpp"
#include "weights.hpp"

namespace torch_server {

class NaiveTransformer {
 public:
  using Vector = std::vector<double>;

  NaiveTransformer(const Shape& shape, std::uint64_t seed)
      : shape_(shape), source_(random_weights(seed)) {}

  // The last layer's rows after the final norm.
  std::vector<Vector> rows(const std::vector<Token>& text, bool causal) {
    std::vector<Vector> x;
    const Matrix embedding = matrix("model.embed_tokens.weight", shape_.vocabulary, shape_.hidden);
    for (const Token token : text) x.push_back(embedding[static_cast<std::size_t>(token)]);
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      const std::string at = "model.layers." + std::to_string(layer) + ".";
      const auto mixed = attention(at, normed(x, at + "input_layernorm.weight"), causal);
      for (std::size_t t = 0; t < x.size(); ++t) add(x[t], mixed[t]);
      const auto fed = feed_forward(at, normed(x, at + "post_attention_layernorm.weight"));
      for (std::size_t t = 0; t < x.size(); ++t) add(x[t], fed[t]);
    }
    return normed(x, "model.norm.weight");
  }

  std::vector<Token> generate(std::vector<Token> text, std::size_t count) {
    const Matrix head = matrix(shape_.tied ? "model.embed_tokens.weight" : "lm_head.weight",
                               shape_.vocabulary, shape_.hidden);
    std::vector<Token> out;
    while (out.size() < count) {
      const Vector logits = times(head, rows(text, true).back());
      std::size_t best = 0;
      for (std::size_t i = 1; i < logits.size(); ++i) {
        if (logits[i] > logits[best]) best = i;
      }
      out.push_back(static_cast<Token>(best));
      text.push_back(out.back());
    }
    return out;
  }

  Vector embedding(const std::vector<Token>& text) {
    Vector sum(static_cast<std::size_t>(shape_.hidden));
    for (const Vector& row : rows(text, false)) add(sum, row);
    double squares = 0;
    for (const double value : sum) squares += value * value;
    for (double& value : sum) value /= std::sqrt(squares);
    return sum;
  }

 private:
  using Matrix = std::vector<Vector>;  // rows: outputs

  Matrix matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    std::vector<float> values(static_cast<std::size_t>(rows * columns));
    if (!source_->read(name, rows, columns, 0, values)) throw std::runtime_error(name);
    Matrix result;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto from = values.begin() + r * columns;
      result.emplace_back(from, from + columns);
    }
    return result;
  }
  static void add(Vector& to, const Vector& more) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += more[i];
  }
  static Vector times(const Matrix& matrix, const Vector& x) {
    Vector out;
    for (const Vector& row : matrix) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += row[i] * x[i];
      out.push_back(sum);
    }
    return out;
  }
  std::vector<Vector> normed(const std::vector<Vector>& x, const std::string& name) {
    const Vector weight = matrix(name, 1, shape_.hidden)[0];
    std::vector<Vector> out = x;
    for (Vector& row : out) {
      double squares = 0;
      for (const double value : row) squares += value * value;
      const double scale =
          1 / std::sqrt(squares / static_cast<double>(row.size()) + shape_.norm_epsilon);
      for (std::size_t i = 0; i < row.size(); ++i) row[i] *= scale * weight[i];
    }
    return out;
  }
  Vector rotated(Vector head, std::size_t position) const {
    const std::size_t half = head.size() / 2;
    for (std::size_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) /
          std::pow(shape_.rope_theta, static_cast<double>(i) / static_cast<double>(half));
      const double a = head[i], b = head[half + i];
      head[i] = a * std::cos(angle) - b * std::sin(angle);
      head[half + i] = a * std::sin(angle) + b * std::cos(angle);
    }
    return head;
  }
  std::vector<Vector> attention(const std::string& at, const std::vector<Vector>& x, bool causal) {
    const std::int64_t d = shape_.head_width;
    const Matrix wq = matrix(at + "self_attn.q_proj.weight", shape_.heads * d, shape_.hidden);
    const Matrix wk = matrix(at + "self_attn.k_proj.weight", shape_.kv_heads * d, shape_.hidden);
    const Matrix wv = matrix(at + "self_attn.v_proj.weight", shape_.kv_heads * d, shape_.hidden);
    const Matrix wo = matrix(at + "self_attn.o_proj.weight", shape_.hidden, shape_.heads * d);
    const auto head_of = [&](const Vector& all, std::int64_t head) {
      return Vector(all.begin() + head * d, all.begin() + (head + 1) * d);
    };
    std::vector<Vector> q, k, v, out;
    for (const Vector& row : x) {
      q.push_back(times(wq, row));
      k.push_back(times(wk, row));
      v.push_back(times(wv, row));
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      Vector mixed;
      for (std::int64_t head = 0; head < shape_.heads; ++head) {
        const std::int64_t kv = head * shape_.kv_heads / shape_.heads;
        const Vector query = rotated(head_of(q[t], head), t);
        Vector sum(static_cast<std::size_t>(d));
        double total = 0;
        for (std::size_t s = 0; s < (causal ? t + 1 : x.size()); ++s) {
          const Vector key = rotated(head_of(k[s], kv), s);
          double score = 0;
          for (std::size_t i = 0; i < key.size(); ++i) score += query[i] * key[i];
          const double weight = std::exp(score / std::sqrt(static_cast<double>(d)));
          const Vector value = head_of(v[s], kv);
          for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * value[i];
          total += weight;
        }
        for (const double value : sum) mixed.push_back(value / total);
      }
      out.push_back(times(wo, mixed));
    }
    return out;
  }
  std::vector<Vector> feed_forward(const std::string& at, const std::vector<Vector>& x) {
    const Matrix gate = matrix(at + "mlp.gate_proj.weight", shape_.feed_forward, shape_.hidden);
    const Matrix up = matrix(at + "mlp.up_proj.weight", shape_.feed_forward, shape_.hidden);
    const Matrix down = matrix(at + "mlp.down_proj.weight", shape_.hidden, shape_.feed_forward);
    std::vector<Vector> out;
    for (const Vector& row : x) {
      Vector active = times(gate, row);
      const Vector factor = times(up, row);
      for (std::size_t i = 0; i < active.size(); ++i) {
        active[i] = active[i] / (1 + std::exp(-active[i])) * factor[i];
      }
      out.push_back(times(down, active));
    }
    return out;
  }

  Shape shape_;
  std::unique_ptr<WeightSource> source_;
};

}  // namespace torch_server
